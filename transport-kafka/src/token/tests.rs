//! The keeper, with its clock paused.

use std::sync::atomic::AtomicUsize;

use super::*;

fn token(number: usize, lives: Duration) -> OauthToken {
    OauthToken::new(format!("secret-{number}"), "orders", SystemTime::now() + lives)
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// A provider that gives what `answer` makes of how often it was asked.
fn provider(
    answer: impl Fn(usize) -> Result<OauthToken, &'static str> + Send + Sync + 'static,
) -> (Tokens, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let tokens = Tokens::new(move || {
        let answer = answer(count.fetch_add(1, Ordering::SeqCst));
        async move { answer }
    });
    (tokens, asked)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends_and_given_to_each_client_once() {
    let (tokens, asked) = provider(|number| Ok(token(number, Duration::from_secs(100))));
    tokens.ready(in_seconds(1)).await.unwrap();
    let (mut one, mut other) = (0, 0);
    assert_eq!(tokens.newer_than(&mut one).unwrap().token, "secret-0");
    assert!(tokens.newer_than(&mut one).is_none());
    sleep(Duration::from_secs(74)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "with a quarter of its time left");
    assert_eq!(tokens.newer_than(&mut one).unwrap().token, "secret-1");
    assert_eq!(tokens.newer_than(&mut other).unwrap().token, "secret-1");
    assert!(tokens.trouble().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_asked_again_and_its_reason_is_told() {
    let (tokens, asked) = provider(|number| match number {
        0..4 => Err("the identity server is down"),
        _ => Ok(token(number, Duration::from_secs(100))),
    });
    let error = tokens.ready(in_seconds(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the identity server is down"), "{error}");
    assert!(tokens.trouble().unwrap().contains("the identity server is down"));
    tokens.ready(in_seconds(10)).await.unwrap();
    assert!(tokens.trouble().is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 5, "not asked without a pause");
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_a_valid_token_at_hand_is_no_trouble_yet() {
    let (tokens, _) = provider(|number| match number {
        0 => Ok(token(number, Duration::from_secs(3600))),
        _ => Err("the identity server is down"),
    });
    tokens.ready(in_seconds(1)).await.unwrap();
    sleep(Duration::from_secs(2800)).await;
    assert!(tokens.trouble().is_none(), "its time is not over: the clock of tokens is the wall's");
    lock(&tokens.0.current).as_mut().unwrap().expires = SystemTime::now();
    assert!(tokens.trouble().unwrap().contains("the identity server is down"));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_or_panics_has_failed() {
    let hangs = Tokens::new(std::future::pending::<Result<OauthToken, String>>);
    let error = hangs.ready(in_seconds(5)).await.unwrap_err();
    assert!(error.to_string().contains("has not answered in time"), "{error}");
    sleep(Duration::from_secs(30)).await;
    assert!(hangs.trouble().unwrap().contains("no answer within 30s"));
    let panics = Tokens::new(|| async { if true { panic!("no") } else { Err("never") } });
    assert!(panics.ready(in_seconds(1)).await.unwrap_err().to_string().contains("it panicked"));
}

/// However long it has failed: who starts now does not wait until its turn comes.
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_well_again_is_asked_as_soon_as_somebody_waits() {
    let well = Arc::new(AtomicBool::new(false));
    let heals = well.clone();
    let (tokens, asked) = provider(move |number| match heals.load(Ordering::SeqCst) {
        true => Ok(token(number, Duration::from_secs(100))),
        false => Err("the identity server is down"),
    });
    assert!(tokens.ready(in_seconds(61)).await.is_err());
    well.store(true, Ordering::SeqCst);
    let before = asked.load(Ordering::SeqCst);
    tokens.ready(in_seconds(1)).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(asked.load(Ordering::SeqCst), before + 1);
}

/// An old token that has ended is no token, whatever the provider said when it gave it.
#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_when_the_token_ends_is_trouble_and_keeps_a_new_client_waiting() {
    let tokens = {
        let asked = AtomicUsize::new(0);
        Tokens::new(move || {
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if !first {
                    std::future::pending::<()>().await;
                }
                Ok::<_, String>(token(0, Duration::from_secs(3600)))
            }
        })
    };
    tokens.ready(in_seconds(1)).await.unwrap();
    sleep(Duration::from_secs(2710)).await;
    lock(&tokens.0.current).as_mut().unwrap().expires = SystemTime::now();
    assert!(tokens.trouble().unwrap().contains("has not answered"));
    assert!(tokens.ready(in_seconds(1)).await.is_err());
}

/// A program may have a runtime for a moment, to make its topics, and another one afterwards.
#[test]
fn tokens_are_renewed_on_another_runtime_when_the_first_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (tokens, asked) = provider(|number| Ok(token(number, Duration::from_secs(100))));
    runtime().block_on(tokens.ready(in_seconds(1))).unwrap();
    runtime().block_on(async {
        tokens.ready(in_seconds(1)).await.unwrap();
        sleep(Duration::from_secs(90)).await;
    });
    assert!(asked.load(Ordering::SeqCst) >= 3, "asked by nobody");
    let first = runtime();
    first.block_on(tokens.ready(in_seconds(1))).unwrap();
    let second = runtime();
    let handle = second.handle().clone();
    drop(first);
    let before = asked.load(Ordering::SeqCst);
    // What the thread of a client does, again and again.
    tokens.run_on(&handle);
    second.block_on(async { sleep(Duration::from_secs(90)).await });
    assert!(asked.load(Ordering::SeqCst) > before, "clients of the second go without");
}

#[tokio::test(start_paused = true)]
async fn what_no_broker_would_take_is_refused() {
    for (wrong, says) in [
        (token(0, Duration::ZERO), "expired already"),
        (OauthToken::new("", "orders", SystemTime::now() + Duration::from_secs(9)), "empty"),
        (OauthToken::new("a\0b", "orders", SystemTime::now() + Duration::from_secs(9)), "not ASCII"),
        (token(0, Duration::from_secs(9)).extension("auth", "a"), "`auth`"),
        (token(0, Duration::from_secs(9)).extension("a b", "a"), "not of letters"),
        (token(0, Duration::from_secs(9)).extension("a", "\u{e9}"), "not ASCII"),
    ] {
        let (tokens, _) = provider(move |_| Ok(wrong.clone()));
        let error = tokens.ready(in_seconds(1)).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_when_the_last_client_has_gone() {
    let (tokens, asked) = provider(|number| Ok(token(number, Duration::from_secs(1))));
    tokens.ready(in_seconds(1)).await.unwrap();
    drop(tokens);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_token_shows_in_no_text() {
    let token = token(7, Duration::from_secs(1)).extension("logicalCluster", "secret-8");
    assert!(!format!("{token:?} {:?}", Tokens::new(|| async { Err::<OauthToken, _>("no") })).contains("secret"));
}
