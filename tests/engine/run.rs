//! From cases and brokers to trials.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gulo::transport::{Capabilities, Capability};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::Case;
use crate::backend::{self, Backend, Clients};
use crate::bench::Bench;

/// However patient a case is, none takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Cases mostly wait, and a broker serves many clients: more of them at once than there are processors.
const AT_ONCE: usize = 8;

thread_local! {
    /// What panicked last on this thread, and where; `None` on threads that are not of a case.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub fn all(cases: &'static [Case]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    speak_of_panics_elsewhere_only();
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    let mut trials = Vec::new();
    for backend in backend::all() {
        let can = (backend.unavailable.is_none()).then(|| capabilities(&backend));
        if !arguments.list {
            let found = backend.unavailable.as_ref().map(|why| format!("not available: {why}"));
            let lacking = cases.iter().filter(|case| can.is_some_and(|can| lacks(case, can).is_some())).count();
            let (name, title) = (backend.name, found.unwrap_or_else(|| backend.title.clone()));
            println!("gulo engine: {name} = {title}; {} cases, {lacking} not applicable", cases.len());
        }
        let required = required.split(',').any(|name| name.trim() == backend.required_as);
        trials.extend(cases.iter().map(|case| trial(case, &backend, can, required)));
    }
    trials.push(Trial::test(
        "reference_bug_05_a_broker_that_is_required_and_missing_fails_its_cases",
        required_and_missing,
    ));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// In the system that this one is to surpass, integration tests turned exceptions into skips.
fn required_and_missing() -> Result<(), Failed> {
    // Free again as soon as its number is known.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let run = |required: &str| {
        let mut run = std::process::Command::new(std::env::current_exe()?);
        run.arg("kafka::reference_bug_01")
            .env("KAFKA_BOOTSTRAP_SERVERS", nobody.to_string())
            .env("GULO_REQUIRE", required);
        run.output().map(|output| (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let (passed, said) = run("kafka")?;
    if passed || !said.contains("GULO_REQUIRE names kafka: ") {
        return Err(Failed::from(format!("required, missing, and it says:\n{said}")));
    }
    let (passed, said) = run("")?;
    if !passed || !said.contains("... ignored") {
        return Err(Failed::from(format!("not required, missing, and not shown as ignored:\n{said}")));
    }
    Ok(())
}

/// Handlers panic on purpose: of a case only what ends it is worth reading.
fn speak_of_panics_elsewhere_only() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match PANIC.take() {
        Some(_) => PANIC.set(Some(panic.to_string())),
        None => usual(panic),
    }));
}

fn capabilities(backend: &Backend) -> Capabilities {
    // Making a client needs no broker and no runtime.
    (backend.clients)()().capabilities()
}

fn lacks(case: &Case, can: Capabilities) -> Option<Capability> {
    case.needs.iter().find(|capability| !can.has(**capability)).copied()
}

fn trial(case: &'static Case, backend: &Backend, can: Option<Capabilities>, required: bool) -> Trial {
    let name = format!("{}::{}", backend.name, case.name);
    let lacking = can.and_then(|can| lacks(case, can)).map(|capability| format!("the broker has no `{capability}`"));
    match (backend.unavailable.clone(), lacking) {
        (Some(why), _) if required => {
            let text = format!("GULO_REQUIRE names {}: {why}", backend.required_as);
            Trial::test(name, move || Err(Failed::from(text))).with_kind(why)
        }
        (Some(why), _) | (None, Some(why)) => {
            // With `--ignored` it runs, and is ignored all the same.
            let text = why.clone();
            let ignored = Trial::ignorable_test(name, move || Ok(Completion::ignored_with(text)));
            ignored.with_kind(why).with_ignored_flag(true)
        }
        (None, None) => {
            let (clients, paused) = ((backend.clients)(), backend.paused);
            Trial::test(name, move || run(case, clients, paused)).with_kind(backend.title.clone())
        }
    }
}

/// Each case has a thread of its own, and a runtime of that one thread. A thread whose case does not end is left behind.
fn run(case: &'static Case, clients: Clients, paused: bool) -> Result<(), Failed> {
    let (done, ended) = mpsc::channel();
    let work = move || {
        PANIC.set(Some(String::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build();
        let runtime = runtime.expect("a runtime");
        let body = async { (case.body)(Bench::new(case.name, clients, paused)).await };
        let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body))).map_err(|_| PANIC.take());
        // A client may be on its way out still.
        runtime.shutdown_background();
        let _ = done.send(result);
    };
    thread::Builder::new().name(case.name.to_owned()).spawn(work)?;
    match ended.recv_timeout(LIMIT) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(panic)) => Err(Failed::from(panic.unwrap_or_default())),
        Err(_) => Err(Failed::from(format!("did not end within {LIMIT:?}"))),
    }
}
