//! From a key to pixels, as a client goes.

use std::io::{Cursor, Read};

use gdal::{Dataset, vsi};
use serde_json::Value;
use zip::ZipArchive;

use crate::support::{CLC, CLC_NAME, CLC_RASTER, Client, link, simulator, token_request};

#[tokio::test(flavor = "multi_thread")]
async fn token_order_poll_download_with_range_unzip_and_read() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let task = client.ordered(CLC, CLC_RASTER).await;
    let early = client.status(&task).await;
    assert!(early.get("DownloadURL").is_none() || early["Status"] == "Finished_ok");
    let done = client.reaches(&task, "Finished_ok").await;
    assert_eq!(done["Datasets"][0]["FileID"], CLC_RASTER);

    let url = link(&done);
    let head = client.http.head(url).send().await.unwrap();
    let size = done["FileSize"].as_u64().unwrap();
    assert_eq!(head.headers()["content-length"], size.to_string());
    assert_eq!(head.headers()["accept-ranges"], "bytes");

    // Two halves without a token make the file whose size the task told.
    let half = |range: String| client.http.get(url).header("Range", range).send();
    let first = half(format!("bytes=0-{}", size / 2 - 1)).await.unwrap();
    assert_eq!(first.status(), 206);
    assert_eq!(first.headers()["content-range"], format!("bytes 0-{}/{size}", size / 2 - 1));
    let mut bytes = first.bytes().await.unwrap().to_vec();
    bytes.extend(half(format!("bytes={}-", size / 2)).await.unwrap().bytes().await.unwrap());
    assert_eq!(bytes.len() as u64, size);
    assert_eq!(half(format!("bytes={size}-")).await.unwrap().status(), 416);

    let mut outer = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut inner = Vec::new();
    outer.by_name(&format!("Results/{CLC_NAME}.zip")).unwrap().read_to_end(&mut inner).unwrap();
    let mut inner = ZipArchive::new(Cursor::new(inner)).unwrap();
    let names: Vec<String> = inner.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert!(names.contains(&format!("{CLC_NAME}/DATA/French_DOMs/U2018_CLC2018_V2020_20u1_FR_REU.tif")));
    let mut tif = Vec::new();
    let path = format!("{CLC_NAME}/DATA/U2018_CLC2018_V2020_20u1.tif");
    inner.by_name(&path).unwrap().read_to_end(&mut tif).unwrap();
    vsi::create_mem_file("/vsimem/life.tif", tif).unwrap();
    let dataset = Dataset::open("/vsimem/life.tif").unwrap();
    assert_eq!(dataset.raster_size(), (200, 200));
    assert_eq!(dataset.spatial_ref().unwrap().auth_code().unwrap(), 3035);
    let band = dataset.rasterband(1).unwrap();
    assert_eq!(band.no_data_value(), Some(-128.0));
    assert!(band.color_table().unwrap().entry_count() >= 45);
    let pixels = band.read_band_as::<u8>().unwrap();
    assert!(pixels.data().iter().all(|value| (1..=44).contains(value) || *value as i8 == -128));

    let log = client.requests().await;
    assert_eq!(log["posts"][CLC_NAME], 1);
    assert_eq!(log["endpoints"]["post"], 1);
    assert_eq!(log["downloads"][CLC_NAME], 3);
    assert_eq!(log["requests"][0]["user_agent"], "clmsfs-test");
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_expires_while_the_task_stays_finished() {
    let simulator = simulator("link_lifetime = \"0s\"").await;
    let client = Client::of(&simulator).await;
    let done = client.finished(CLC, CLC_RASTER).await;
    let answer = client.http.get(link(&done)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let history: Value = client.get("@datarequest_search?status=Finished_ok").await.json().await.unwrap();
    assert_eq!(history.as_object().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused_everywhere_until_somebody_gets_a_new_one() {
    let simulator = simulator("token_lifetime = \"0s\"").await;
    let client = Client::of(&simulator).await;
    for path in ["@search?b_size=1", "@datarequest_search", "en/products/corine-land-cover/clc2018"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_token");
    }
    assert_eq!(token_request(&client.http, simulator.service_key()).await.status(), 200);
    assert_eq!(client.get("@search?b_size=1").await.status(), 200);
    let answer = client.get("@datarequest_search").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap()["type"], "Unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_host_dislikes_python_and_can_do_without_ranges() {
    let simulator = simulator("range = false").await;
    let client = Client::of(&simulator).await;
    let done = client.finished(CLC, CLC_RASTER).await;
    for agent in ["python-requests/2.31", "Python-urllib/3.11"] {
        let answer = client.http.get(link(&done)).header("User-Agent", agent).send().await.unwrap();
        assert_eq!(answer.status(), 403);
    }
    let whole = client.http.get(link(&done)).header("Range", "bytes=5-9").send().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert!(whole.headers().get("accept-ranges").is_none());
    assert_eq!(whole.bytes().await.unwrap().len() as u64, done["FileSize"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_host_takes_its_time() {
    let simulator = simulator("").await;
    let client = Client::of(&simulator).await;
    let done = client.finished(CLC, CLC_RASTER).await;
    let size = done["FileSize"].as_u64().unwrap();
    simulator.set_scenario(clmsfs::simulator::Scenario {
        download_rate: Some(size * 5),
        ..clmsfs::simulator::Scenario::default()
    });
    let start = std::time::Instant::now();
    let bytes = client.http.get(link(&done)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, size);
    // A fifth of a second, less the last piece, which need not be waited for.
    assert!(start.elapsed().as_millis() >= 80, "{:?}", start.elapsed());
}
