//! From cases and brokers to trials.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gulo_bus_core::transport::Capabilities;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::{Builder, Runtime};

use crate::Harness;
use crate::cases::{self, Case};
use crate::support::Bench;

/// However patient a harness is, no case takes longer.
const LIMIT: Duration = Duration::from_secs(90);

/// Cases mostly wait, and a broker serves many clients: more of them at once than there are processors.
const AT_ONCE: usize = 6;

/// Runs the suite on each of `harnesses`; takes the arguments that `cargo test` gives.
pub fn run(harnesses: Vec<Arc<dyn Harness>>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    let mut trials = Vec::new();
    for harness in harnesses {
        let broker = Broker::look_at(harness, &required);
        let planned: Vec<Plan> = cases::all().map(|case| broker.plan(case)).collect();
        if !arguments.list {
            println!("{}", broker.headline(&planned));
        }
        trials.extend(planned.into_iter().map(|plan| broker.trial(plan)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the one case of this name, whether it applies or not: what it found wrong. For a debugger, and for tests that
/// break a transport on purpose to see a case fail.
pub fn run_one(harness: Arc<dyn Harness>, case: &str) -> Result<(), String> {
    let found = cases::all().find(|one| one.name == case).ok_or_else(|| format!("there is no case `{case}`"))?;
    run_case(harness, found).map_err(|failed| failed.message().unwrap_or("failed").to_owned())
}

/// A harness, and what is known of its broker before anything runs.
struct Broker {
    harness: Arc<dyn Harness>,
    capabilities: Capabilities,
    unavailable: Option<String>,
    required: bool,
    /// There may be one way only that can be cut.
    cutting: Arc<Mutex<()>>,
}

/// What becomes of a case.
struct Plan {
    case: Case,
    fate: Fate,
}

enum Fate {
    Runs,
    /// It says something about what this transport does not offer, or does.
    DoesNotApply(String),
    /// It would run if what it needs were there.
    CannotRun(String),
}

impl Broker {
    fn look_at(harness: Arc<dyn Harness>, required: &str) -> Self {
        let runtime = runtime().expect("a runtime");
        let capabilities = runtime.block_on(harness.transport()).capabilities();
        let required = required.split(',').any(|name| name.trim() == harness.require_name());
        Self { capabilities, unavailable: harness.unavailable(), required, cutting: Arc::default(), harness }
    }

    fn plan(&self, case: Case) -> Plan {
        let fate = match (case.does_not_apply(self.capabilities), self.cannot_run(&case)) {
            (Some(reason), _) => Fate::DoesNotApply(reason),
            (None, Some(reason)) => Fate::CannotRun(reason),
            (None, None) => Fate::Runs,
        };
        Plan { case, fate }
    }

    fn cannot_run(&self, case: &Case) -> Option<String> {
        let uncut = || if case.cuts { self.harness.no_cut() } else { None };
        self.unavailable.clone().or_else(uncut)
    }

    fn headline(&self, planned: &[Plan]) -> String {
        let count = |which: fn(&Fate) -> bool| planned.iter().filter(|plan| which(&plan.fate)).count();
        let unapplied = count(|fate| matches!(fate, Fate::DoesNotApply(_)));
        let blocked = count(|fate| matches!(fate, Fate::CannotRun(_)));
        let broker = match &self.unavailable {
            Some(reason) => format!("not available: {reason}"),
            None => self.harness.broker().unwrap_or_else(|| "version unknown".to_owned()),
        };
        let (name, cases) = (self.harness.name(), planned.len());
        format!("gulo-conformance: {name} = {broker}; {cases} cases, {unapplied} not applicable, {blocked} cannot run")
    }

    fn trial(&self, Plan { case, fate }: Plan) -> Trial {
        let name = format!("{}::{}", self.harness.name(), case.name);
        match fate {
            Fate::Runs => {
                let (harness, cutting) = (Arc::clone(&self.harness), Arc::clone(&self.cutting));
                let run = move || {
                    // One that failed while it cut has healed the way by dropping it.
                    let _alone = case.cuts.then(|| cutting.lock().unwrap_or_else(PoisonError::into_inner));
                    run_case(harness, case)
                };
                Trial::test(name, run).with_kind(self.harness.broker().unwrap_or_default())
            }
            Fate::CannotRun(reason) if self.required => {
                let text = format!("GULO_REQUIRE names `{}`, and {reason}", self.harness.require_name());
                Trial::test(name, move || Err(Failed::from(text))).with_kind(reason)
            }
            Fate::CannotRun(reason) | Fate::DoesNotApply(reason) => {
                // With `--ignored` it runs, and is ignored all the same.
                let text = reason.clone();
                let ignored = Trial::ignorable_test(name, move || Ok(Completion::ignored_with(text)));
                ignored.with_kind(reason).with_ignored_flag(true)
            }
        }
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn run_case(harness: Arc<dyn Harness>, case: Case) -> Result<(), Failed> {
    let runtime = runtime()?;
    // Getting its turn at a way that can be cut takes no time of the case's own.
    let bench = runtime.block_on(Bench::new(harness, case.cuts)).map_err(Failed::from)?;
    let work = (case.body)(bench);
    let result = runtime.block_on(async { tokio::time::timeout(LIMIT, tokio::spawn(work)).await });
    // A source of a dead broker may be on its way out still.
    runtime.shutdown_background();
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(Failed::from(panic_text(failure))),
        Err(_) => Err(Failed::from(format!("`{}` did not end within {LIMIT:?}", case.name))),
    }
}

fn panic_text(failure: tokio::task::JoinError) -> String {
    let Ok(panic) = failure.try_into_panic() else { return "was cancelled".to_owned() };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}
