//! Writes NDJSON of the shape that all measurements are made on.
//!
//!     cargo run --release --example generate -- --rows 1000000 [--seed 7] > web.ndjson

use std::io::Write as _;

#[path = "../benches/corpus/mod.rs"]
mod corpus;

fn main() -> anyhow::Result<()> {
    let mut rows = 1_000_000_u64;
    let mut seed = 7;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| anyhow::anyhow!("{argument} needs a number"))?;
        match argument.as_str() {
            "--rows" => rows = value.parse()?,
            "--seed" => seed = value.parse()?,
            other => anyhow::bail!("{other} is not known; there are --rows N and --seed N"),
        }
    }
    let mut corpus = corpus::Corpus::new(seed);
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut line = String::new();
    for _ in 0..rows {
        line.clear();
        corpus.write(&mut line);
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}
