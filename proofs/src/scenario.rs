//! Scenarios of faults: which there are, which are chosen, and that each has its row whatever comes of it.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Instant;

use crate::Trouble;
use crate::rows::{Row, Table};

const FOLDER: &str = "target/prove";

pub(crate) type Played<'a> = Pin<Box<dyn Future<Output = Result<Row, Trouble>> + 'a>>;
/// By its name, in the world that scenarios share.
type Play<W> = for<'a> fn(&'a mut W, &'static str) -> Played<'a>;

/// One fault, and what is claimed of it.
pub(crate) struct Scenario<W> {
    name: &'static str,
    quick: bool,
    what: &'static str,
    play: Play<W>,
}

pub(crate) const fn scenario<W>(name: &'static str, quick: bool, what: &'static str, play: Play<W>) -> Scenario<W> {
    Scenario { name, quick, what, play }
}

/// All of them, a line each.
pub(crate) fn list<W>(all: &[Scenario<W>]) -> String {
    let line = |scenario: &Scenario<W>| {
        format!("{:<18} {}{}\n", scenario.name, scenario.what, if scenario.quick { " *" } else { "" })
    };
    all.iter().map(line).collect()
}

/// Whether all claims of the chosen scenarios hold; all of them where none is named. `world` is what they share, in a
/// folder of its own.
pub(crate) async fn prove<W>(
    proof: &'static str,
    all: &'static [Scenario<W>],
    words: &[&str],
    world: impl FnOnce(PathBuf) -> W,
) -> Result<bool, Trouble> {
    let chosen = choose(all, words)?;
    // Numbers of processes are used again, and what an earlier run left must not get into this one.
    let folder = Path::new(FOLDER).join(format!("{proof}-{}-{:x}", std::process::id(), crate::now() / 1_000_000));
    std::fs::create_dir_all(&folder)?;
    let mut world = world(folder.clone());
    let mut rows = Vec::new();
    for scenario in chosen {
        rows.push(play(&mut world, &folder, scenario).await);
    }
    drop(world);
    let table = Table::new(proof, rows);
    let path = Path::new(FOLDER).join(format!("{proof}.json"));
    table.write(&path)?;
    println!("\n{}", table.text());
    println!("{}: {}", if table.ok() { "all of it holds" } else { "FAILED" }, path.display());
    match table.ok() {
        true => std::fs::remove_dir_all(&folder)?,
        false => println!("what nodes and brokers wrote: {}", folder.display()),
    }
    Ok(table.ok())
}

async fn play<W>(world: &mut W, folder: &Path, scenario: &Scenario<W>) -> Row {
    let begin = Instant::now();
    println!("{}: {}", scenario.name, scenario.what);
    let row = match (scenario.play)(world, scenario.name).await {
        Ok(row) => row.judge(),
        Err(trouble) => Row::broken(scenario.name, &trouble, begin.elapsed().as_secs_f64()),
    };
    let kept = folder.join(scenario.name);
    match row.ok {
        // A tidy room is of no further use.
        true => drop(std::fs::remove_dir_all(kept)),
        false => println!("{}: FAILED, its ledger: {}", scenario.name, kept.display()),
    }
    row
}

fn choose<W>(all: &'static [Scenario<W>], words: &[&str]) -> Result<Vec<&'static Scenario<W>>, Trouble> {
    match words {
        [] => Ok(all.iter().collect()),
        ["--quick"] => Ok(all.iter().filter(|scenario| scenario.quick).collect()),
        names => names.iter().map(|name| find(all, name)).collect(),
    }
}

fn find<W>(all: &'static [Scenario<W>], name: &str) -> Result<&'static Scenario<W>, Trouble> {
    all.iter()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| format!("no scenario {name}; there are\n{}", list(all)).into())
}
