//! The invariants of the commit protocol, as checkers of a finished run.
//!
//! They read what is durable, every version that each catalog pointer ever had, by Iceberg's own
//! parsers; and compare it with the [`Truth`]. Of frazil they use the state's encoding, which is
//! what they check, and none of its counters.
//!
//! | id | what must hold |
//! |---|---|
//! | C1 | a commit of ours holds exactly the records between the positions before and after it |
//! | C2 | at the end, rows and dead letters are exactly the records up to the positions |
//! | C3 | positions never go back, except where an operator said so |
//! | C5 | no data file is live twice; all that a table names exists |
//! | C6 | no file is deleted that the table names then or later; "lost" is only said of what is lost |
//! | C7 | a record that is neither row nor dead letter has a live row of its key at another position |
//! | C8 | table and dead letters together hold each record once |
//! | D1 | no key is live twice, where the oracle says that rows have keys |
//! | E1 | a checkpoint begun in one epoch is not committed in another, nor on another table |
//! | F1 | a committed file's columns are the table's |
//! | H1 | the history of each commit of ours holds the commit of ours before it |
//! | M1 | maintenance keeps the rows |
//! | M2 | maintenance leaves the state, and all properties but its own, as they are |
//! | L1 | with faults off all is committed and the outbox is empty, unless someone did the table harm |
//! | N1 | harm is called by its name |
//! | S1 | every change of state moves `main` |

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    rc::Rc,
};

use frazil_dataset::TableName;
use frazil_table::{
    commit::{Outcome, guard::COMMIT_ID},
    maintenance,
    state::{State, wire},
};
use iceberg::spec::TableMetadata;

use crate::{
    durable::{Actor, Durable},
    foreign::Deed,
    oracle::Truth,
    reading::{self, Lines, LiveFile},
    writer::{self, Told},
};

/// The line that other engines append.
const FOREIGN: &str = "foreign";

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// The writers said that all is committed.
    Complete,
    /// An error that a person must decide about.
    Stopped {
        /// Whether it says what happened, rather than that something did.
        named: bool,
        /// The error.
        error: String,
    },
    /// Neither, in all the lives that they had.
    OutOfLives,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its id: `C1`, ….
    pub invariant: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.found)
    }
}

/// One version of a table.
struct Version {
    location: String,
    by: Actor,
    call: u64,
    metadata: TableMetadata,
    state: Option<State>,
    files: Vec<LiveFile>,
    rows: Lines,
    outbox: BTreeMap<u64, Lines>,
}

/// Checks a finished run.
pub struct Checker<'a> {
    durable: &'a Durable,
    name: &'a TableName,
    truth: &'a dyn Truth,
    told: &'a [Told],
    table: Vec<Option<Version>>,
    dead_letters: Vec<Option<Version>>,
    /// The parent of every snapshot that any version of the table ever named.
    parents: BTreeMap<i64, Option<i64>>,
    /// What data files hold, by their paths.
    held: RefCell<BTreeMap<String, Rc<Lines>>>,
    violations: Vec<Violation>,
}

impl<'a> Checker<'a> {
    /// Reads all versions of the table and its dead-letter table.
    pub fn new(
        durable: &'a Durable,
        name: &'a TableName,
        truth: &'a dyn Truth,
        told: &'a [Told],
    ) -> Self {
        let mut checker = Self {
            durable,
            name,
            truth,
            told,
            table: Vec::new(),
            dead_letters: Vec::new(),
            parents: BTreeMap::new(),
            held: RefCell::default(),
            violations: Vec::new(),
        };
        checker.table = checker.versions(name);
        checker.dead_letters = checker.versions(&name.dead_letters());
        for version in checker.table.iter().flatten() {
            for snapshot in version.metadata.snapshots() {
                let parent = snapshot.parent_snapshot_id();
                checker.parents.insert(snapshot.snapshot_id(), parent);
            }
        }
        checker
    }

    /// All that does not hold, of a run that ended so.
    pub fn check(mut self, end: &End) -> Vec<Violation> {
        let table = mem::take(&mut self.table);
        let dead_letters = mem::take(&mut self.dead_letters);
        for (index, pair) in table.windows(2).enumerate() {
            if let [Some(before), Some(after)] = pair
                && matches!(after.by, Actor::Process(_))
            {
                let previous = last_state(&table[..=index], before);
                self.check_commit(before, after, &previous, &dead_letters);
            }
        }
        for version in dead_letters.iter().flatten() {
            self.check_each_once(version);
        }
        for version in table.iter().chain(&dead_letters).flatten() {
            self.check_live_once(version);
        }
        self.check_told(&table);
        self.check_deletions(&table);
        self.check_deletions(&dead_letters);
        self.check_existence(table.last());
        self.check_existence(dead_letters.last());
        match end {
            End::Complete => self.check_end(table.last(), dead_letters.last(), &dead_letters),
            End::Stopped { named, error } => self.check_stop(*named, error),
            End::OutOfLives => self.found("L1", "the writers got nowhere".to_owned()),
        }
        self.violations
    }

    /// L1, N1: only harm stops a writer, and it says which harm.
    fn check_stop(&mut self, named: bool, error: &str) {
        if !self.was_harmed() {
            self.found(
                "L1",
                format!("nobody did the table harm, and it stopped: {error}"),
            );
        }
        if !named {
            self.found("N1", format!("no name for what happened: {error}"));
        }
    }

    fn found(&mut self, invariant: &'static str, found: String) {
        self.violations.push(Violation { invariant, found });
    }

    fn was_harmed(&self) -> bool {
        self.durable
            .foreign
            .iter()
            .any(|(_, action)| !action.deed.is_welcome())
    }

    fn did(&self, deed: Deed) -> bool {
        self.durable
            .foreign
            .iter()
            .any(|(_, action)| action.deed == deed)
    }

    fn versions(&mut self, name: &TableName) -> Vec<Option<Version>> {
        let mut versions = Vec::new();
        for pointer in self.durable.history(name) {
            let Some(location) = &pointer.location else {
                versions.push(None);
                continue;
            };
            match self.version(location, pointer.by.clone(), pointer.call) {
                Ok(version) => versions.push(Some(version)),
                Err(error) => self.found("C5", error),
            }
        }
        versions
    }

    fn version(&self, location: &str, by: Actor, call: u64) -> Result<Version, String> {
        let metadata = reading::metadata(self.durable, location)?;
        let mut state = wire::decode(metadata.properties())
            .map_err(|error| format!("state in {location}: {error}"))?;
        if let Some(state) = &mut state {
            self.add_finished(state)?;
        }
        let files = reading::live_files(self.durable, &metadata)?;
        let rows = self.lines(&files)?;
        let mut outbox = BTreeMap::new();
        for (number, manifest) in state.iter().flat_map(|state| &state.dead_letters.outbox) {
            let files = reading::manifest_files(self.durable, manifest)?;
            outbox.insert(*number, self.lines(&files)?);
        }
        Ok(Version {
            location: location.to_owned(),
            by,
            call,
            metadata,
            state,
            files,
            rows,
            outbox,
        })
    }

    /// Adds the sources of the file that a state names to those that it holds itself.
    fn add_finished(&self, state: &mut State) -> Result<(), String> {
        let Some(file) = &state.finished else {
            return Ok(());
        };
        let bytes = self.durable.archived(&file.path);
        let bytes = bytes.ok_or_else(|| format!("{} was never written", file.path))?;
        for (id, source) in file.decode(bytes)? {
            state.sources.entry(id).or_insert(source);
        }
        Ok(())
    }

    fn lines(&self, files: &[LiveFile]) -> Result<Lines, String> {
        let mut lines = Lines::default();
        for file in files {
            lines.merge(Lines::clone(&*self.held(&file.path)?));
        }
        lines.0.remove(FOREIGN);
        Ok(lines)
    }

    fn held(&self, path: &str) -> Result<Rc<Lines>, String> {
        if let Some(lines) = self.held.borrow().get(path) {
            return Ok(Rc::clone(lines));
        }
        let bytes = self.durable.archived(path);
        let bytes = bytes.ok_or_else(|| format!("data file {path} was never written"))?;
        let lines = Rc::new(self.truth.held(path, bytes)?);
        self.held
            .borrow_mut()
            .insert(path.to_owned(), Rc::clone(&lines));
        Ok(lines)
    }

    /// A commit of ours against the version before it.
    fn check_commit(
        &mut self,
        before: &Version,
        after: &Version,
        previous: &State,
        dead: &[Option<Version>],
    ) {
        let place = format!("in {} (call {})", short(&after.location), after.call);
        let Some(state) = &after.state else {
            self.found("S1", format!("a commit of ours without a state, {place}"));
            return;
        };
        if before.state.as_ref() == Some(state) {
            self.check_maintenance(before, after, &place);
            return;
        }
        if state.table_uuid != after.metadata.uuid() {
            self.found("E1", format!("the state is another table's, {place}"));
        }
        if after.metadata.current_snapshot_id() == before.metadata.current_snapshot_id() {
            self.found(
                "S1",
                format!("the state changed and main did not move, {place}"),
            );
        }
        if state.epoch == previous.epoch {
            self.check_tiling(before, after, previous, state, &place);
            self.check_history(after, previous, &place);
        } else {
            self.check_operator(before, after, &place);
        }
        if state.last_commit.as_ref().map(|last| last.snapshot_id)
            != after.metadata.current_snapshot_id()
        {
            self.found(
                "S1",
                format!("the state does not name its own snapshot, {place}"),
            );
        }
        self.check_outbox(before, after, dead, &place);
        self.check_columns(before, after, &place);
    }

    /// M1, M2: a commit that leaves the state as it was is one of maintenance.
    fn check_maintenance(&mut self, before: &Version, after: &Version, place: &str) {
        let (gained, lost) = difference(&before.rows, &after.rows);
        if gained.count() + lost.count() > 0 {
            let found = format!(
                "too many are {}, and missing is {}, {place}",
                list(&gained),
                list(&lost)
            );
            self.found("M1", found);
        }
        let others = |version: &Version| {
            let mut properties = version.metadata.properties().clone();
            properties.remove(maintenance::KEY);
            properties
        };
        if others(before) != others(after) {
            self.found("M2", format!("other properties changed, {place}"));
        }
        let (old, new) = (
            before.metadata.current_snapshot_id(),
            after.metadata.current_snapshot(),
        );
        let is_next = new.is_none_or(|new| new.parent_snapshot_id() == old);
        if old != after.metadata.current_snapshot_id() && !is_next {
            self.found("M2", format!("main moved to no child of its own, {place}"));
        }
    }

    /// C1, C3: the commit holds exactly the records between the positions.
    fn check_tiling(
        &mut self,
        before: &Version,
        after: &Version,
        previous: &State,
        state: &State,
        place: &str,
    ) {
        let mut expected = Lines::default();
        for (number, source) in &state.sources {
            let start = previous
                .sources
                .get(number)
                .map_or(0, |source| source.position);
            if source.position < start {
                let found = format!(
                    "source {number} from {start} back to {}, {place}",
                    source.position
                );
                self.found("C3", found);
            }
            let range = start..source.position.max(start);
            expected.merge(self.truth.range(&source.identity, range));
        }
        if previous
            .sources
            .keys()
            .any(|number| !state.sources.contains_key(number))
        {
            self.found("C3", format!("a source was forgotten, {place}"));
        }
        if state.dead_letters.next < previous.dead_letters.next {
            self.found("C3", format!("the outbox's next number went back, {place}"));
        }
        let (mut gained, lost) = difference(&before.rows, &after.rows);
        for (_, lines) in after.outbox.range(previous.dead_letters.next..) {
            gained.merge(lines.clone());
        }
        if lost.count() > 0 {
            self.found("C1", format!("rows {} vanished, {place}", list(&lost)));
        }
        let (too_many, missing) = difference(&expected, &gained);
        let missing = self.unwitnessed(missing, &after.rows, place);
        if too_many.count() + missing.count() > 0 {
            let found = format!(
                "between the positions is missing {}, and too many are {}, {place}",
                list(&missing),
                list(&too_many)
            );
            self.found("C1", found);
        }
    }

    /// C7: of records that were dropped as duplicates, a row of the same key is live. Gives those that have no key.
    fn unwitnessed(&mut self, missing: Lines, live: &Lines, place: &str) -> Lines {
        let keys: BTreeSet<String> = live
            .0
            .keys()
            .filter_map(|one| self.truth.key(one))
            .collect();
        let mut keyless = Lines::default();
        for (line, times) in missing.0 {
            match self.truth.key(&line) {
                None => drop(keyless.0.insert(line, times)),
                Some(key) if keys.contains(&key) => {}
                Some(key) => {
                    let found =
                        format!("{line} was dropped, and no row of its key {key} is live, {place}");
                    self.found("C7", found);
                }
            }
        }
        keyless
    }

    /// D1: no key is live twice.
    fn check_keys(&mut self, live: &Lines) {
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in live.0.keys() {
            if let Some(key) = self.truth.key(line) {
                lines.entry(key).or_default().push(line.clone());
            }
        }
        for (key, lines) in lines.into_iter().filter(|(_, lines)| lines.len() > 1) {
            let found = format!("key {key} is live as {}", lines.join(" and "));
            self.found("D1", found);
        }
    }

    /// An operator's action changes no rows; that of the scenarios changes no position either.
    fn check_operator(&mut self, before: &Version, after: &Version, place: &str) {
        let positions = |version: &Version| version.state.as_ref().map(writer::positions);
        if before.state.is_some() && positions(before) != positions(after) {
            self.found(
                "C3",
                format!("an operator's action changed positions, {place}"),
            );
        }
        let (gained, lost) = difference(&before.rows, &after.rows);
        if gained.count() + lost.count() > 0 {
            self.found("C1", format!("an operator's action changed rows, {place}"));
        }
    }

    /// C8: what leaves the outbox is in the dead-letter table.
    fn check_outbox(
        &mut self,
        before: &Version,
        after: &Version,
        dead: &[Option<Version>],
        place: &str,
    ) {
        // Another engine may have taken them from there again meanwhile; the next look names that.
        let held = || {
            dead.iter()
                .flatten()
                .take_while(|version| version.call <= after.call)
        };
        for (number, lines) in &before.outbox {
            let holds = |line| held().any(|version| version.rows.0.contains_key(line));
            let lost = !after.outbox.contains_key(number) && !lines.0.keys().all(holds);
            if lost && !self.dead_letters_were_dropped() {
                let found = format!("outbox entry {number} left before it was applied, {place}");
                self.found("C8", found);
            }
        }
    }

    /// H1: the commit before is an ancestor.
    fn check_history(&mut self, after: &Version, previous: &State, place: &str) {
        let Some(last) = &previous.last_commit else {
            return;
        };
        let mut ancestor = after.metadata.current_snapshot_id();
        while let Some(id) = ancestor {
            if id == last.snapshot_id {
                return;
            }
            ancestor = self.parents.get(&id).copied().flatten();
        }
        self.found(
            "H1",
            format!(
                "our last snapshot {} is no ancestor, {place}",
                last.snapshot_id
            ),
        );
    }

    /// F1: files that are new hold columns of the table only.
    fn check_columns(&mut self, before: &Version, after: &Version, place: &str) {
        let old: BTreeSet<&str> = before.files.iter().map(|file| file.path.as_str()).collect();
        let schema = after.metadata.current_schema();
        for file in &after.files {
            let foreign = |column: &&i32| schema.field_by_id(**column).is_none();
            if !old.contains(file.path.as_str())
                && let Some(column) = file.columns.iter().find(foreign)
            {
                let found = format!(
                    "column {column} of {} was dropped, {place}",
                    short(&file.path)
                );
                self.found("F1", found);
            }
        }
    }

    /// C8, of the dead-letter table alone: no record is there twice.
    fn check_each_once(&mut self, version: &Version) {
        let twice: Vec<&String> = version
            .rows
            .0
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(line, _)| line)
            .collect();
        if !twice.is_empty() {
            let found = format!(
                "{twice:?} are dead letters twice, in {}",
                short(&version.location)
            );
            self.found("C8", found);
        }
    }

    /// C5: no data file is named twice, and each entry's count is its file's.
    fn check_live_once(&mut self, version: &Version) {
        let mut seen = BTreeSet::new();
        for file in &version.files {
            let place = short(&version.location);
            if !seen.insert(&file.path) {
                self.found(
                    "C5",
                    format!("{} is live twice, in {place}", short(&file.path)),
                );
            }
        }
    }

    /// E1, C6: what writers were told of their checkpoints is so.
    fn check_told(&mut self, table: &[Option<Version>]) {
        let mut committed = BTreeMap::new();
        for version in table.iter().flatten() {
            let Actor::Process(_) = version.by else {
                continue;
            };
            let id = version.metadata.current_snapshot().and_then(|snapshot| {
                snapshot
                    .summary()
                    .additional_properties
                    .get(COMMIT_ID)
                    .cloned()
            });
            if let Some(id) = id {
                committed.entry(id).or_insert(version);
            }
        }
        for told in self.told {
            let found = committed.get(&told.id.to_string());
            if let Some(version) = found {
                let epoch = version.state.as_ref().map(|state| state.epoch);
                if epoch != Some(told.epoch) || version.metadata.uuid() != told.table_uuid {
                    let found = format!(
                        "checkpoint {} of epoch {} was committed in epoch {epoch:?}, or on another table",
                        told.id, told.epoch
                    );
                    self.found("E1", found);
                }
            }
            let Some(outcome) = &told.outcome else {
                continue;
            };
            let success = matches!(
                outcome,
                Outcome::Committed { .. } | Outcome::AlreadyCommitted { .. }
            );
            // Once the history is expired, nobody can tell of a commit that others followed.
            let knowable = success || !has_expired(table);
            if success != found.is_some() && knowable && !self.was_harmed() {
                let found = format!(
                    "checkpoint {} was told {outcome:?}, which is not so",
                    told.id
                );
                self.found("C6", found);
            }
        }
    }

    /// C6: what is deleted is not named by the table then or later.
    fn check_deletions(&mut self, versions: &[Option<Version>]) {
        if self.durable.deletions.is_empty() {
            return;
        }
        let ends = versions.iter().skip(1).flatten().map(|next| next.call);
        let ends: Vec<u64> = ends.collect();
        let mut bad = Vec::new();
        for (index, version) in versions.iter().enumerate() {
            let Some(version) = version else { continue };
            let end = ends.get(index).copied().unwrap_or(u64::MAX);
            let named = self.named(version);
            for deletion in &self.durable.deletions {
                if deletion.call <= end && named.contains(&deletion.path) {
                    bad.push((
                        deletion.path.clone(),
                        deletion.call,
                        version.location.clone(),
                    ));
                }
            }
        }
        for (path, call, location) in bad {
            let found = format!(
                "{} was deleted in call {call}, and {} names it",
                short(&path),
                short(&location)
            );
            self.found("C6", found);
        }
    }

    /// All files that a version needs: its own, its snapshots', its outbox's.
    fn named(&self, version: &Version) -> BTreeSet<String> {
        let mut named = reading::reachable(self.durable, &version.metadata).unwrap_or_default();
        named.insert(version.location.clone());
        let finished = version
            .state
            .iter()
            .filter_map(|state| state.finished.as_ref());
        named.extend(finished.map(|file| file.path.clone()));
        if self.did(Deed::LoseFinished) {
            named.retain(|path| !path.contains("/finished-sources-"));
        }
        for manifest in version
            .state
            .iter()
            .flat_map(|state| state.dead_letters.outbox.values())
        {
            let files = reading::manifest_files(self.durable, manifest).unwrap_or_default();
            named.extend(files.iter().map(|file| file.path.clone()));
            named.insert(manifest.clone());
        }
        named
    }

    /// C5: all that the table names at the end is there.
    fn check_existence(&mut self, version: Option<&Option<Version>>) {
        let Some(Some(version)) = version else {
            return;
        };
        for path in self.named(version) {
            if self.durable.file(&path).is_none() {
                let found = format!(
                    "{} is gone, and {} names it",
                    short(&path),
                    short(&version.location)
                );
                self.found("C5", found);
            }
        }
    }

    /// C2, C8: at the end each record is in the table or among the dead letters, once.
    fn check_end(
        &mut self,
        table: Option<&Option<Version>>,
        dead: Option<&Option<Version>>,
        all_dead: &[Option<Version>],
    ) {
        let Some(Some(table)) = table else {
            self.found(
                "C2",
                "the writers are complete and there is no table".to_owned(),
            );
            return;
        };
        let mut union = table.rows.clone();
        if let Some(Some(dead)) = dead {
            union.merge(dead.rows.clone());
        }
        if let Some(number) = table.outbox.keys().find(|number| {
            let applied = dead
                .and_then(Option::as_ref)
                .is_some_and(|dead| is_held(table, dead, **number));
            !applied
        }) {
            self.found("L1", format!("outbox entry {number} was never applied"));
        }
        let (too_many, mut missing) = difference(&self.truth.all(), &union);
        if self.dead_letters_were_dropped() {
            let once_dead = |line: &String| {
                all_dead
                    .iter()
                    .flatten()
                    .any(|version| version.rows.0.contains_key(line))
            };
            missing.0.retain(|line, _| !once_dead(line));
        }
        let missing = self.unwitnessed(missing, &table.rows, "at the end");
        self.check_keys(&table.rows);
        if too_many.count() > 0 {
            self.found("C8", format!("at the end are too many {}", list(&too_many)));
        }
        if missing.count() > 0 {
            self.found("C2", format!("at the end is missing {}", list(&missing)));
        }
    }

    /// Whether someone dropped the dead-letter table, and with it what it held.
    fn dead_letters_were_dropped(&self) -> bool {
        let name = self.name.dead_letters();
        self.durable.foreign.iter().any(|(_, action)| {
            let drops = matches!(
                action.deed,
                Deed::Drop | Deed::Recreate | Deed::RecreateLike
            );
            drops && action.table == name
        })
    }
}

/// Whether snapshots were ever taken out of the metadata.
fn has_expired(versions: &[Option<Version>]) -> bool {
    let known = |version: &Version| -> BTreeSet<i64> {
        let snapshots = version.metadata.snapshots();
        snapshots.map(|snapshot| snapshot.snapshot_id()).collect()
    };
    versions.windows(2).any(|pair| match pair {
        [Some(before), Some(after)] => !known(before).is_subset(&known(after)),
        _ => false,
    })
}

/// The state that the last of these versions has, or had before someone removed it; a new one for
/// a table that never had any.
fn last_state(versions: &[Option<Version>], last: &Version) -> State {
    let uuid = last.metadata.uuid();
    for version in versions.iter().rev().map_while(Option::as_ref) {
        if version.metadata.uuid() != uuid {
            break;
        }
        if let Some(state) = &version.state {
            return state.clone();
        }
        if matches!(&version.by, Actor::Foreign(deed) if deed.starts_with("Rewind")) {
            break;
        }
    }
    State::new(uuid)
}

fn is_held(table: &Version, dead: &Version, number: u64) -> bool {
    table.outbox[&number]
        .0
        .keys()
        .all(|line| dead.rows.0.contains_key(line))
}

/// What `after` has more than `before`, and what it has less.
fn difference(before: &Lines, after: &Lines) -> (Lines, Lines) {
    let excess = |from: &Lines, of: &Lines| {
        let mut lines = Lines::default();
        for (line, times) in &of.0 {
            let more = times.saturating_sub(from.0.get(line).copied().unwrap_or(0));
            if more > 0 {
                lines.0.insert(line.clone(), more);
            }
        }
        lines
    };
    (excess(before, after), excess(after, before))
}

fn list(lines: &Lines) -> String {
    if lines.0.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<&str> = lines.0.keys().map(String::as_str).collect();
    names.join(" ")
}

fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
