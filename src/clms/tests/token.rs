//! Tokens: one grant for many callers, one renewal per request, the clock, no storms.

use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::*;
use crate::clms::{ClmsError, TaskId};

/// Checks the grant like the service does and gives its claims.
fn claims(seen: &Seen) -> Value {
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_aud = false;
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    let key = DecodingKey::from_rsa_der(&public_der());
    jsonwebtoken::decode::<Value>(seen.form("assertion").unwrap(), &key, &rules).unwrap().claims
}

fn refused_by_clock() -> Value {
    json!({"error": "invalid_grant", "error_description": "The token is not yet valid (iat)"})
}

#[tokio::test]
async fn a_grant_is_what_the_service_wants() {
    let server = Server::start(|_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer("t"),
        _ => answer(200, &json!({})),
    })
    .await;
    let client = server.client_with_key();
    client.tasks().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[0].header("accept"), Some("application/json"));
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[0].form("grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let claims = claims(&seen[0]);
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(claims["iss"], "675e4411aff9743ade32a0acfd072b46");
    assert_eq!(claims["sub"], "n00015mf");
    assert_eq!(claims["aud"], server.url("/@@oauth2-token").as_str());
    assert!((now - 62..=now - 58).contains(&claims["iat"].as_i64().unwrap()), "{claims}");
    assert!(claims["exp"].as_i64().unwrap() <= now + 3600);
    assert!(claims.get("nbf").is_none() && claims.get("scope").is_none());
    assert_eq!(seen[1].header("authorization"), Some("Bearer t"));
    assert_eq!(seen[1].header("accept"), Some("application/json"));
}

#[tokio::test]
async fn many_callers_share_one_grant() {
    let server = Server::start(|_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer("t"),
        _ => answer(200, &json!({})),
    })
    .await;
    let client = server.client_with_key();
    let calls = (0..20).map(|_| client.tasks());
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(server.count("@@oauth2-token"), 1);
    assert_eq!(server.count("@datarequest_search"), 20);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_grant_with_it() {
    let (address, count) = raw_server(b"", true).await;
    let mut options = quick(
        Url::parse(&format!("http://{address}/api")).unwrap(),
        Some(key_for(&format!("http://{address}/@@oauth2-token"))),
    );
    options.timeouts.head = Duration::from_millis(500);
    let client = Client::new(options).unwrap();
    let client = Arc::new(client);
    let gone = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.tasks().await }
    });
    while *count.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.tasks().await }
    });
    gone.abort();
    // The one that waits asks itself, and meets the limit of the silent server.
    assert!(matches!(waiting.await.unwrap(), Err(ClmsError::Unreachable { .. })));
    assert!(*count.lock().unwrap() >= 2);
}

#[tokio::test]
async fn a_401_renews_the_token_once() {
    let grants = AtomicUsize::new(0);
    let server = Server::start(move |_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer(&format!("t{}", grants.fetch_add(1, Ordering::SeqCst))),
        _ if seen.header("authorization") == Some("Bearer t0") => {
            answer(401, &json!({"error": "invalid_token", "error_description": "Access token expired"}))
        }
        _ => answer(200, &json!({"Status": "Queued"})),
    })
    .await;
    let client = server.client_with_key();
    let id = TaskId::parse("1").unwrap();
    assert!(client.task(&id).await.unwrap().is_some());
    assert!(client.task(&id).await.unwrap().is_some());
    assert_eq!(server.count("@@oauth2-token"), 2);
    assert_eq!(server.count("@datarequest_status_get"), 3);
}

#[tokio::test]
async fn fifty_callers_with_the_same_stale_token_renew_it_once() {
    let grants = AtomicUsize::new(0);
    let server = Server::start(move |_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer(&format!("t{}", grants.fetch_add(1, Ordering::SeqCst))),
        _ if seen.header("authorization") == Some("Bearer t0") => {
            answer(401, &json!({"type": "Unauthorized"}))
        }
        _ => answer(200, &json!({})),
    })
    .await;
    let client = server.client_with_key();
    for result in futures_util::future::join_all((0..50).map(|_| client.tasks())).await {
        result.unwrap();
    }
    assert_eq!(server.count("@@oauth2-token"), 2);
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_ends_in_silence() {
    let server = Server::start(|_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer("t"),
        _ => answer(
            401,
            &json!({"message": "You are not authorized to access this resource.", "type": "Unauthorized"}),
        ),
    })
    .await;
    let client = server.client_with_key();
    for _ in 0..10 {
        let error = client.tasks().await.unwrap_err();
        assert!(matches!(error, ClmsError::TokenRefused { .. }), "{error}");
        assert!(error.to_string().contains("IP addresses"), "{error}");
    }
    assert_eq!(server.count("@@oauth2-token"), 2, "no token storm");
    assert_eq!(server.count("@datarequest_search"), 2);
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_at_once() {
    let server = Server::start(|_, _| {
        answer(400, &json!({"error": "invalid_grant", "error_description": "No associated key found"}))
    })
    .await;
    let client = server.client_with_key();
    for _ in 0..5 {
        let error = client.tasks().await.unwrap_err();
        assert!(error.to_string().contains("No associated key found"), "{error}");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_wrong_clock_is_measured_and_corrected_once() {
    // The service's clock is an hour and a half behind ours.
    let behind = jiff::Timestamp::now().as_second() - 5400;
    let server = Server::start(move |_, seen| {
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&jiff::Timestamp::from_second(behind).unwrap())
            .unwrap();
        let mut response = if seen.path != "/@@oauth2-token" {
            answer(200, &json!({}))
        } else if claims(seen)["iat"].as_i64().unwrap() > behind {
            answer(400, &refused_by_clock())
        } else {
            token_answer("t")
        };
        response.headers_mut().insert("date", date.parse().unwrap());
        response
    })
    .await;
    let client = server.client_with_key();
    client.tasks().await.unwrap();
    assert_eq!(server.count("@@oauth2-token"), 2);
    let offset = client.clock_offset().unwrap().as_secs();
    assert!((-5403..=-5399).contains(&offset), "{offset}");
}

#[tokio::test]
async fn a_service_that_always_blames_the_clock_is_asked_twice() {
    let server = Server::start(|_, _| answer(400, &refused_by_clock())).await;
    let error = server.client_with_key().tasks().await.unwrap_err();
    assert!(matches!(error, ClmsError::CredentialsRefused { .. }), "{error}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_short_lived_token_is_renewed_before_its_end() {
    let server = Server::start(|_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => answer(200, &json!({"access_token": "t", "expires_in": "1"})),
        _ => answer(200, &json!({})),
    })
    .await;
    let client = server.client_with_key();
    client.tasks().await.unwrap();
    client.tasks().await.unwrap();
    assert_eq!(server.count("@@oauth2-token"), 1);
    // The token's own time is the condition; that it comes before the end is proven in `token.rs`.
    let begun = std::time::Instant::now();
    while server.count("@@oauth2-token") == 1 {
        assert!(begun.elapsed() < Duration::from_secs(5), "never renewed");
        client.tasks().await.unwrap();
    }
}

#[tokio::test]
async fn the_token_endpoint_is_never_left_by_a_redirect() {
    let other = Server::start(|_, _| token_answer("stolen")).await;
    let target = other.url("/@@oauth2-token");
    let server = Server::start(move |_, _| {
        let mut response = redirect(target.as_str());
        *response.status_mut() = axum::http::StatusCode::TEMPORARY_REDIRECT;
        response
    })
    .await;
    let error = server.client_with_key().tasks().await.unwrap_err();
    assert!(matches!(error, ClmsError::BadAnswer { .. }), "{error}");
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn without_a_key_protected_calls_say_so() {
    let server = Server::start(|_, _| answer(200, &json!({}))).await;
    assert_eq!(server.client(None).tasks().await.unwrap_err(), ClmsError::NoCredentials);
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn errors_of_the_token_endpoint_are_told_apart() {
    for (status, body, expected) in [
        (500, json!({"message": "Not enough segments"}), "Server"),
        (405, json!({"error": "invalid_request"}), "BadAnswer"),
        (200, json!({"token_type": "Bearer"}), "BadAnswer"),
        (
            400,
            json!({"error": "invalid_grant", "error_description": "Invalid audience"}),
            "CredentialsRefused",
        ),
    ] {
        let server = Server::start(move |_, _| answer(status, &body)).await;
        let error = server.client_with_key().tasks().await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn refused_tokens_are_asked_for_again_after_a_short_rest() {
    let refusals = AtomicUsize::new(0);
    let server = Server::start(move |_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer("t"),
        _ if refusals.fetch_add(1, Ordering::SeqCst) < 4 => answer(401, &json!({"type": "Unauthorized"})),
        _ => answer(200, &json!({})),
    })
    .await;
    let mut options = quick(server.url("/api"), Some(key_for(server.url("/@@oauth2-token").as_str())));
    options.retry.token_refusal = Duration::from_millis(50);
    let client = Client::new(options).unwrap();
    let begun = std::time::Instant::now();
    while client.tasks().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never asked again");
        tokio::task::yield_now().await;
    }
    assert_eq!(server.count("@datarequest_search"), 5);
    assert!(server.count("@@oauth2-token") <= 5, "{} grants", server.count("@@oauth2-token"));
}

#[tokio::test]
async fn another_key_is_used_at_once_and_the_token_of_the_former_one_is_not() {
    let grants = AtomicUsize::new(0);
    let server = Server::start(move |_, seen| match seen.path.as_str() {
        "/@@oauth2-token" => token_answer(&format!("t{}", grants.fetch_add(1, Ordering::SeqCst))),
        _ => answer(200, &json!({})),
    })
    .await;
    let client = server.client_with_key();
    client.tasks().await.unwrap();
    client.tasks().await.unwrap();
    client.set_credentials(Some(key_for(server.url("/@@oauth2-token").as_str())).into());
    client.tasks().await.unwrap();
    let tokens: Vec<_> =
        server.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(tokens, ["Bearer t0", "Bearer t0", "Bearer t1"]);
    client.set_credentials(crate::clms::Credentials::None);
    assert!(matches!(client.tasks().await, Err(ClmsError::NoCredentials)));
}
