//! Parts, and archives that are none.

use migrate_tests::archive::Archive;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::{Deployment, companies, id};

async fn code(response: Response) -> String {
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = response.json().await.unwrap();
    body["code"].as_str().unwrap().to_owned()
}

async fn token(response: Response) -> String {
    response.json().await.unwrap()
}

#[tokio::test]
async fn parts_come_in_order_and_all_of_them_are_named() {
    // Twelve mebibytes in fifteen rows of letters that do not repeat.
    let mut random = fastrand::Rng::with_seed(5);
    let lines: Vec<String> = (0..15_u8)
        .map(|number| {
            let text: String = (0..800 << 10).map(|_| random.alphanumeric()).collect();
            format!(r#"{{"_id":"{}","text":"{text}"}}"#, id("anything", number))
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let archive = Archive::stored().uniform("anything", &lines).bytes();
    let parts: Vec<&[u8]> = archive.chunks(5 << 20).collect();
    assert_eq!(parts.len(), 3);
    for deployment in Deployment::both().await {
        let client = &deployment.client;
        let upload = client.start().await;
        assert_eq!(code(client.part(&upload, 2, parts[1]).await.unwrap()).await, "PartOutOfOrder");
        let first = token(client.part(&upload, 1, parts[0]).await.unwrap()).await;
        assert_eq!(code(client.part(&upload, 1, parts[0]).await.unwrap()).await, "PartOutOfOrder");
        assert_eq!(code(client.part("nothing", 1, parts[0]).await.unwrap()).await, "InvalidUploadToken");
        let second = token(client.part(&upload, 2, parts[1]).await.unwrap()).await;
        let third = token(client.part(&upload, 3, parts[2]).await.unwrap()).await;
        for tokens in [vec![], vec![first.clone(), third.clone()], vec![first.clone(), third.clone(), second.clone()]] {
            assert_eq!(code(client.finish(&upload, &tokens, "requireEmpty").await.unwrap()).await, "InvalidPart");
        }
        let finished = client.finish(&upload, &[first, second, third], "requireEmpty").await.unwrap();
        let import: Value = finished.json().await.unwrap();
        let import = import["importId"].as_str().unwrap();
        client.wait(import, &["waiting_for_confirmation"]).await;
        client.tell("perform_import", import).await;
        client.wait(import, &["completed"]).await;
        let documents = deployment.documents("anything").await;
        let mut texts: Vec<&str> = documents.iter().map(|document| document["text"].as_str().unwrap()).collect();
        texts.sort_unstable();
        let mut expected: Vec<&str> =
            lines.iter().map(|line| &line[line.len() - (800 << 10) - 2..line.len() - 2]).collect();
        expected.sort_unstable();
        assert!(texts == expected, "the documents have other texts");
    }
}

#[tokio::test]
async fn only_the_last_part_may_be_small() {
    for deployment in Deployment::both().await {
        let client = &deployment.client;
        let upload = client.start().await;
        let first = token(client.part(&upload, 1, b"PK").await.unwrap()).await;
        let second = token(client.part(&upload, 2, b"PK").await.unwrap()).await;
        assert_eq!(code(client.finish(&upload, &[first, second], "append").await.unwrap()).await, "EntityTooSmall");
    }
}

#[tokio::test]
async fn damaged_archives_fail_before_anything_is_asked_for() {
    let whole = companies(&[1]).bytes();
    let cut = whole[..whole.len() - 30].to_vec();
    let mut changed = Archive::stored().uniform("companies", &["{\"name\":\"Ari\"}"]).bytes();
    let place = changed.windows(3).position(|bytes| bytes == b"Ari").unwrap();
    changed[place] = b'O';
    for deployment in Deployment::both().await {
        for archive in [&b"no archive"[..], &cut, &changed] {
            let import = deployment.client.upload(archive, usize::MAX, "replace").await;
            let row = deployment.client.wait(&import, &["failed", "waiting_for_confirmation"]).await;
            let message = row["state"]["error_message"].as_str().unwrap();
            assert!(message.starts_with("Hit an error while importing:\ninvalid zip file"), "{message}");
        }
        for (file, reason) in [
            ("_storage/documents.jsonl", "stores no files"),
            ("_components/c/users/documents.jsonl", "has no components"),
            ("a b/documents.jsonl", "nvalid"),
        ] {
            let message = deployment.refused(Archive::new().file(file, ""), "replace").await;
            assert!(message.contains(reason), "{file}: {message}");
        }
    }
}

#[tokio::test]
async fn only_an_admin_imports() {
    for deployment in Deployment::both().await {
        let stranger = match &deployment.stand_in {
            super::StandIn::Bench(bench) => migrate_tests::archive::ImportClient::new(&bench.url(), "wrong"),
            super::StandIn::Local(local) => migrate_tests::archive::ImportClient::new(local.url(), "wrong"),
        };
        for route in ["import/start_upload", "perform_import", "cancel_import"] {
            assert_eq!(stranger.tell(route, "x").await.status(), StatusCode::UNAUTHORIZED, "{route}");
        }
    }
}
