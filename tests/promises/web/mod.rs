//! The web page: who is answered, that looking orders nothing, that its buttons do what the verbs do, and that it stays
//! quick however large the catalogue is. What a real browser makes of it is `make test-web`.

mod client;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::support::meddler::{self, Meddler};
use crate::support::packages::Pixels;
use crate::support::{Mount, Package, Simulator, Stage, wait};
use client::{Browser, Secret};

const QUICK: &str = "queued = '50ms'\nrunning = '50ms'";

/// A mount with a page, of one product `leaf` and the sample catalogue.
fn with_page(stage: &Stage, scenario: &str) -> (Simulator, Mount, Browser) {
    Package::new("leaf", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator(scenario);
    let mount = stage.mount(&simulator).flag("--web-listen", "127.0.0.1:0").start();
    mount.product("leaf");
    let browser = Browser::of(&mount);
    (simulator, mount, browser)
}

#[test]
fn nothing_is_shown_without_the_link_and_the_link_is_told_to_the_owner_only() {
    let Some(stage) = Stage::shared() else { return };
    let (_simulator, mut mount, browser) = with_page(&stage, QUICK);
    let stranger = browser.stranger();
    for target in [
        "/",
        "/jobs",
        "/cache",
        "/datasets",
        "/datasets/data",
        "/datasets/data/leaf",
        "/preview/data/leaf.png",
        "/events?view=overview",
        "/no-such-page",
        "/?token=",
        "/?token=0000",
    ] {
        let answer = stranger.get(target).expect(403);
        let text = answer.text();
        assert!(text.contains("clmsfs web"), "{target}: the way in is told");
        assert!(
            !text.contains("leaf") && !text.contains("mount point"),
            "{target} tells of the mount:\n{text}"
        );
    }
    stranger.get("/style.css").expect(200);
    assert!(browser.page("/datasets/data").contains("leaf"));

    // where others may look, there is the address and not the secret
    let secret = browser.secret.text.as_str();
    let status = mount.run(&["status"]).success().text() + &mount.json(&["status"]).to_string();
    let live = std::fs::read_to_string(mount.point().join(".clmsfs/status.json")).unwrap();
    for told in [&status, &live, &mount.log()] {
        assert!(told.contains(&format!("http://{}/", browser.authority())), "{told}");
        assert!(!told.contains(secret), "{told}");
    }

    // who was let in is let in after a restart, though the port may be another one
    assert!(mount.terminate().success());
    mount.start_again();
    assert_eq!(mount.json(&["web"])["link"].as_str().unwrap().split("token=").nth(1), Some(secret));
}

#[test]
fn every_answer_is_hardened() {
    let Some(stage) = Stage::shared() else { return };
    let (_simulator, _mount, browser) = with_page(&stage, QUICK);
    for (answer, status) in [
        (browser.get("/"), 200),
        (browser.get("/datasets/data/leaf"), 200),
        (browser.get("/datasets/no-such"), 404),
        (browser.get("/datasets?from=x"), 400),
        (browser.get("/style.css"), 200),
        (browser.stranger().get("/"), 403),
        (browser.send("GET", "/", &[("Host", "evil.example")], ""), 421),
        (browser.send("PUT", "/", &[], ""), 405),
    ] {
        let answer = answer.expect(status);
        let content = answer.header("content-security-policy");
        assert!(
            content.contains("default-src 'none'") && content.contains("frame-ancestors 'none'"),
            "{content}"
        );
        assert!(!content.contains("unsafe"), "{content}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
        // what the policy forbids is not there
        let text = answer.text();
        assert!(
            !text.contains(" style=") && !text.contains(" onclick") && !text.contains("<script>"),
            "{text}"
        );
    }
}

#[test]
fn requests_of_other_pages_and_names_are_refused() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount, browser) = with_page(&stage, QUICK);
    simulator.reset_when_quiet();
    let secret = browser.form_secret("/datasets/data/leaf");
    // DNS rebinding: the address is ours, the name is not
    for host in ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", ""] {
        browser.send("GET", "/", &[("Host", host)], "").expect(421);
        browser.submit(&[("Host", host)], &secret, "fetch", "data/leaf").expect(421);
    }
    for header in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:1"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        browser.submit(&[header], &secret, "fetch", "data/leaf").expect(403);
    }
    for wrong in
        ["", "0", &secret[..63], &format!("{secret}0"), &secret.replace(|c: char| c.is_ascii_digit(), "a")]
    {
        browser.submit(&[], wrong, "fetch", "data/leaf").expect(403);
    }
    browser.stranger().submit(&[], &secret, "fetch", "data/leaf").expect(403);
    browser.get("/act?action=fetch&id=data/leaf").expect(405);
    browser.send("POST", "/act", &[("Content-Type", "text/plain")], "action=fetch").expect(415);
    let large = format!("secret={secret}&action=fetch&id={}", "x".repeat(20_000));
    browser
        .send("POST", "/act", &[("Content-Type", "application/x-www-form-urlencoded")], &large)
        .expect(413);
    assert_eq!(mount.state("leaf"), "cold");
    assert_eq!(simulator.requests().total(), 0, "{:?}", simulator.requests());

    // with all that in order it is done
    let origin = format!("http://{}", browser.authority());
    let own = [("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let answer = browser.submit(&own, &secret, "fetch", "data/leaf").expect(303);
    assert_eq!(answer.header("location"), "/datasets/data/leaf?did=fetch#told");
    mount.ready("leaf");
}

#[test]
fn looking_at_everything_orders_nothing_and_asks_no_network() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount, browser) = with_page(&stage, QUICK);
    simulator.reset_when_quiet();
    let mut seen = std::collections::BTreeSet::new();
    let mut ahead = vec!["/".to_owned()];
    // every link of every page
    while let Some(target) = ahead.pop() {
        if !seen.insert(target.clone()) {
            continue;
        }
        let page = browser.page(&target);
        let links = page.split(r#"href=""#).skip(1).filter_map(|rest| rest.split('"').next());
        let own = links.filter(|link| link.starts_with('/')).map(|link| link.replace("&amp;", "&"));
        ahead.extend(own);
        assert!(seen.len() < 1000, "{seen:?}");
    }
    assert!(seen.contains("/datasets/data/leaf") && seen.len() > 30, "{seen:?}");
    for target in ["/datasets?q=clc&products=1&state=cold", "/datasets?kind=vector&format=gpkg"] {
        assert!(browser.page(target).contains("clc2018"), "{target}");
    }
    browser.get("/preview/data/leaf.png").expect(404);
    drop(browser.follow("/events?view=product&dataset=data&product=leaf"));
    assert_eq!(simulator.requests().total(), 0, "{:?}", simulator.requests());
    assert_eq!(mount.state("leaf"), "cold");
}

#[test]
fn the_buttons_do_what_the_verbs_do_and_events_tell_of_it() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount, browser) = with_page(&stage, "queued = '1h'");
    let mut events = browser.follow("/events?view=product&dataset=data&product=leaf");
    events.until("state", "not on this machine");
    browser.press("fetch", "data/leaf").expect(303);
    events.until("state", "waiting in the service's queue");
    assert!(browser.page("/jobs").contains("no reader waits"));
    browser.press("cancel", "data/leaf").expect(303);
    wait::until_true("a cancelled fetch", || mount.state("leaf") == "cold");
    events.until("state", "not on this machine");

    simulator.scenario(QUICK);
    browser.press("fetch", "data/leaf").expect(303);
    events.until("content", "EPSG:3035");
    assert_eq!(mount.state("leaf"), "ready");
    let page = browser.page("/datasets/data/leaf");
    let tif = mount.tif("leaf").display().to_string();
    assert!(page.contains("300 × 300 pixels, 1 band") && page.contains(&format!("gdalinfo {tif}")), "{page}");
    assert!(page.contains(r#"aria-label="Map of Europe, outlined: "#), "{page}");
    let picture = browser.get("/preview/data/leaf.png").expect(200);
    assert_eq!(picture.header("content-type"), "image/png");
    assert_eq!(picture.body, std::fs::read(mount.product("leaf").join("preview.png")).unwrap());

    browser.press("pin", "data/leaf").expect(303);
    assert_eq!(mount.attribute("leaf", "pinned"), "1");
    let refused = browser.press("evict", "data/leaf").expect(409).text();
    assert!(refused.contains("pinned"), "{refused}");
    browser.press("unpin", "data/leaf").expect(303);
    browser.press("evict", "data/leaf").expect(303);
    assert_eq!(mount.state("leaf"), "cold");
    events.until("state", "not on this machine");
    browser.press("cancel", "data/leaf").expect(409);
    let secret = browser.form_secret("/datasets/data/leaf");
    browser.submit(&[], &secret, "explode", "data/leaf").expect(400);
    browser.submit(&[], &secret, "fetch", "data/no-such").expect(409);
    assert_eq!(simulator.requests().posts("leaf"), 2);
}

/// What is here was taken for the end of the fetch: the button of a failed renewal said that it had begun, and did nothing.
#[test]
fn a_renewal_that_failed_is_tried_again_by_its_button() {
    let Some(stage) = Stage::shared() else { return };
    let (simulator, mount, browser) = with_page(&stage, QUICK);
    mount.cat("leaf").success();
    simulator.scenario(&format!("{QUICK}\n[[fault]]\nfile = 'leaf'\noutcome = 'finished_nok'\n"));
    assert!(!mount.run(&["fetch", "--refresh", "data/leaf"]).status.success());
    simulator.scenario(QUICK);
    let told = mount.run(&["status"]).success().text();
    assert!(told.contains("what is here is served; clmsfs fetch --refresh tries again"), "{told}");

    let orders = simulator.requests().posts("leaf");
    let page = browser.page("/jobs");
    let (_, button) = page.split_once(r#"name="action" value=""#).expect("a button");
    browser.press(button.split('"').next().unwrap(), "data/leaf").expect(303);
    wait::until_true("a newer edition", || mount.json(&["jobs"]).as_array().unwrap().is_empty());
    assert_eq!(simulator.requests().posts("leaf"), orders + 1);
    assert_eq!(mount.state("leaf"), "ready");
}

#[test]
fn a_look_is_no_use_and_the_cache_tells_what_goes_next() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("root", Pixels::Classes, 300).write(&stage.data());
    let (_simulator, mount, browser) = with_page(&stage, QUICK);
    mount.cat("root").success();
    mount.cat("leaf").success();
    let order = || {
        let page = browser.page("/cache");
        let place =
            |name: &str| page.find(&format!(r#"href="/datasets/data/{name}""#)).expect("in the table");
        place("root") < place("leaf")
    };
    assert!(order(), "least recently used first");
    browser.page("/datasets/data/root");
    browser.get("/preview/data/root.png").expect(200);
    assert!(order(), "a look is no use");
    let page = browser.page("/cache");
    assert!(page.contains("goes next") && page.contains("goes as number 2"), "{page}");
    let held = std::fs::File::open(mount.tif("root")).unwrap();
    let page = browser.page("/cache");
    assert!(page.contains("in use by 1 reader") && !page.contains("goes as number 2"), "{page}");
    drop(held);
}

#[test]
fn texts_of_others_are_text() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("leaf", Pixels::Classes, 64).write(&stage.data());
    let name = r#"<img src=x onerror="alert(1)"> & 'q' ?#%"#;
    let record = serde_json::json!({"file": name, "resolution": "<b>10 m</b>", "year": "\"><script>alert(2)</script>"});
    std::fs::write(stage.data().join("leaf.json"), record.to_string()).unwrap();
    let simulator = stage.simulator(QUICK);
    let meddler = Meddler::start(
        simulator.authority(),
        Arc::new(|answer: &mut meddler::Answer| {
            answer.replace(
                "Local data (packages of a folder)",
                "</title><script>alert(3)</script>\\u202e\\u001b[2J",
            );
            answer.replace(
                "Packages that were put into the simulator's data folder",
                "<i onclick='x'>d</i>\\n\\n<p>e",
            );
        }),
    );
    meddler.begin();
    let api = simulator.api().replace(simulator.authority(), meddler.authority());
    let mount = stage.mount(&simulator).api(&api).flag("--web-listen", "127.0.0.1:0").start();
    wait::until_true("the catalogue", || mount.point().join("data").exists());
    let browser = Browser::of(&mount);
    let product = browser
        .page("/datasets/data")
        .split(r#"href="/datasets/data/"#)
        .nth(1)
        .expect("a product")
        .to_owned();
    let product = format!("/datasets/data/{}", product.split('"').next().unwrap());
    let pages =
        ["/datasets", "/datasets?q=script", "/datasets?q=onerror&products=1", "/datasets/data", &product];
    for target in pages {
        let page = browser.page(target);
        for raw in ["<script>", "<img src=x", "<b>10", "<i onclick", "\u{202e}", "\u{1b}", "onerror=\"alert"]
        {
            assert!(!page.contains(raw), "{target} has {raw}:\n{page}");
        }
        assert!(page.contains("&lt;script&gt;alert(3)") || target == product, "{target}:\n{page}");
    }
    let page = browser.page(&product);
    assert!(page.contains("&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &amp; "), "{page}");
    // and such a name is found again by its address
    let told = browser.page("/datasets?q=%22%3E%3Cimg");
    assert!(told.contains(r#"value="&quot;&gt;&lt;img""#), "{told}");
}

#[test]
fn a_large_catalogue_is_shown_in_parts_and_searched_in_parts() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator("generate = { datasets = 1000, products = 150 }");
    let mount = stage.mount(&simulator).flag("--web-listen", "127.0.0.1:0").start();
    let browser = Browser::of(&mount);
    let rows = |page: &str| page.matches("<tr>").count() - 1;
    let next = |page: &str| {
        let (before, _) = page.split_once(r#"" rel="next""#)?;
        Some(before.rsplit_once(r#"href=""#)?.1.replace("&amp;", "&"))
    };
    wait::until_true("the catalogue", || browser.page("/datasets").contains("1\u{202f}000 datasets"));
    let unpacked = || mount.json(&["status"])["unpacked"].as_u64().unwrap();
    assert_eq!(unpacked(), 0);

    // all of it, by the links, without a record being unpacked
    let (mut target, mut seen) = ("/datasets".to_owned(), 0);
    loop {
        let page = browser.page(&target);
        assert!(page.len() < 100_000, "{} bytes", page.len());
        seen += rows(&page);
        let Some(more) = next(&page) else { break };
        target = more;
    }
    assert_eq!(seen, 1000);
    assert_eq!(rows(&browser.page("/datasets?q=00042+synthetic")), 1);
    assert!(browser.page("/datasets?q=SYN_00042_007").contains("Look among the names of products"));
    assert!(browser.page("/datasets?state=ready").contains("No further dataset"));
    assert_eq!(unpacked(), 0);

    // names of products need records: a part of them for each request, until it is found
    let (mut target, mut requests) = ("/datasets?q=SYN_00900_007&products=1".to_owned(), 0);
    loop {
        let before = unpacked();
        let page = browser.page(&target);
        requests += 1;
        assert!(unpacked() - before <= 20_000 / 150 + 1, "one request did too much");
        if page.contains(r#"href="/datasets/dataset-00900/SYN_00900_007_100m_eu_03035_v010""#) {
            break;
        }
        target = next(&page).expect("it is somewhere");
    }
    assert_eq!(requests, 7);

    let page = browser.page("/datasets/dataset-00900");
    assert_eq!(rows(&page), 100);
    assert_eq!(rows(&browser.page(&next(&page).unwrap())), 50);
}

#[test]
fn browsers_that_are_kept_up_to_date_are_counted() {
    let Some(stage) = Stage::shared() else { return };
    let (_simulator, mut mount, browser) = with_page(&stage, QUICK);
    let mut watching: Vec<_> = (0..32)
        .map(|_| {
            let mut events = browser.follow("/events?view=overview");
            events.next();
            events
        })
        .collect();
    let refused = browser.get("/events?view=overview").expect(503);
    assert_eq!(refused.header("retry-after"), "30");
    browser.page("/");
    browser.get("/events?view=everything").expect(404);
    // they do not hold up the end
    watching.truncate(3);
    assert!(mount.terminate().success());
}

#[test]
fn a_port_in_use_and_an_address_of_nobody_end_the_start_in_one_line() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, words) in [(address.as_str(), "give another port"), ("192.0.2.1:80", "no such address")] {
        let refused = stage.mount(&simulator).flag("--log", "warn").flag("--web-listen", listen).refused();
        assert_eq!(refused.status.code(), Some(1));
        let told = refused.stderr.trim_end();
        assert!(told.contains(listen) && told.contains(words) && !told.contains('\n'), "{told}");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*stage.folder().to_string_lossy()), "nothing is mounted");
        assert!(!stage.folder().join("cache").exists(), "nothing is made");
    }
    let usage = stage.mount(&simulator).flag("--web-listen", "8080").refused();
    assert_eq!(usage.status.code(), Some(2));
    assert!(usage.stderr.contains("127.0.0.1:8080"), "{}", usage.stderr);
}

#[test]
fn without_a_page_there_is_no_link_and_the_secret_is_the_owners() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mut mount = stage.mount(&simulator).start();
    let told = mount.run(&["web"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(told.stderr.contains("--web-listen"), "{}", told.stderr);
    assert!(mount.json(&["status"])["web"].is_null());
    assert!(mount.terminate().success());

    let mount = stage.mount(&simulator).flag("--web-listen", "localhost:0").start();
    let secret = Secret::of(&mount);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(secret.file.as_path()), 0o600);
    assert_eq!(mode(secret.file.parent().unwrap()), 0o700);
}
