//! Which table and which column a query means: names match whatever their case.

use std::ops::ControlFlow;

use datafusion::sql::{
    parser::Statement,
    sqlparser::ast::{Expr, Ident, visit_expressions_mut},
};
use frazil_dataset::TableName;

/// The table of `known` that `namespace` (perhaps none) and `table` mean: the exact one, else the one
/// whose case alone differs; without a namespace the one in `logs`, else the only one of that name.
/// Several, or none, are the error.
pub(super) fn choose<'t>(
    known: &'t [TableName],
    namespace: &[String],
    table: &str,
) -> Result<&'t TableName, Vec<&'t TableName>> {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let fits = |name: &&TableName| {
        same(&name.table, table)
            && (namespace.is_empty() || same(&name.namespace.join("."), &namespace.join(".")))
    };
    let fitting: Vec<_> = known.iter().filter(fits).collect();
    let exact = |name: &&&TableName| {
        name.table == table && (namespace.is_empty() || name.namespace == namespace)
    };
    let in_logs = |name: &&&TableName| name.namespace == ["logs"];
    let mut narrowed = fitting;
    for narrower in [&exact as &dyn Fn(&&&TableName) -> bool, &in_logs] {
        let few: Vec<_> = narrowed
            .iter()
            .filter(|name| narrower(name))
            .copied()
            .collect();
        if !few.is_empty() {
            narrowed = few;
        }
    }
    match narrowed[..] {
        [one] => Ok(one),
        _ => Err(narrowed),
    }
}

/// Writes unquoted column names as the tables spell them, so that `userid` and `userId` find `userId`:
/// SQL folds what is not quoted to lower case, and logs are full of camel case.
pub(super) fn match_case(statement: &mut Statement, columns: &[String]) {
    let inner = match statement {
        Statement::Explain(explain) => &mut explain.statement,
        other => other,
    };
    let Statement::Statement(inner) = inner else {
        return;
    };
    let _ = visit_expressions_mut(&mut **inner, |expression| {
        match expression {
            Expr::Identifier(name) => spell(name, columns),
            Expr::CompoundIdentifier(parts) => {
                for part in parts {
                    spell(part, columns);
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
}

fn spell(name: &mut Ident, columns: &[String]) {
    if name.quote_style.is_some() {
        return;
    }
    let folded = name.value.to_lowercase();
    let mut fitting: Vec<_> = columns
        .iter()
        .filter(|column| column.to_lowercase() == folded)
        .collect();
    fitting.dedup();
    // What lower case finds needs no help, and of several none is meant more than another.
    if let [one] = fitting[..]
        && *one != folded
    {
        *name = Ident::with_quote('"', one);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    fn table(name: &str) -> TableName {
        let mut parts: Vec<_> = name.split('.').map(str::to_owned).collect();
        let table = parts.pop().unwrap();
        TableName {
            namespace: parts,
            table,
        }
    }

    #[test]
    fn a_table_is_found_by_as_little_as_is_clear() {
        let known = [
            "logs.web",
            "shop.web",
            "shop.Orders",
            "a.b.deep",
            "x.two",
            "y.two",
        ]
        .map(table);
        let choose = |namespace: &[&str], name: &str| {
            let namespace: Vec<_> = namespace.iter().map(|part| (*part).to_owned()).collect();
            choose(&known, &namespace, name)
                .map(ToString::to_string)
                .map_err(|several| several.len())
        };
        assert_eq!(choose(&[], "web"), Ok("logs.web".to_owned()));
        assert_eq!(choose(&["shop"], "web"), Ok("shop.web".to_owned()));
        assert_eq!(choose(&[], "orders"), Ok("shop.Orders".to_owned()));
        assert_eq!(choose(&["a", "b"], "deep"), Ok("a.b.deep".to_owned()));
        assert_eq!(choose(&[], "two"), Err(2));
        assert_eq!(choose(&["logs"], "two"), Err(0));
    }

    #[test]
    fn columns_are_spelled_as_the_table_spells_them() {
        let columns = ["userId", "host", "Mixed", "mixed"].map(str::to_owned);
        for (query, expected) in [
            (
                "SELECT USERID, t.userid FROM t",
                "SELECT \"userId\", t.\"userId\" FROM t",
            ),
            ("SELECT Host FROM t", "SELECT Host FROM t"),
            ("SELECT MIXED FROM t", "SELECT MIXED FROM t"),
            ("SELECT \"USERID\" FROM t", "SELECT \"USERID\" FROM t"),
            (
                "SELECT max(userid) AS userid FROM t WHERE userid > 1 ORDER BY userid",
                "SELECT max(\"userId\") AS userid FROM t WHERE \"userId\" > 1 ORDER BY \"userId\"",
            ),
        ] {
            let mut statement = DFParser::parse_sql(query).unwrap().pop_front().unwrap();
            match_case(&mut statement, &columns);
            assert_eq!(statement.to_string(), expected);
        }
    }
}
