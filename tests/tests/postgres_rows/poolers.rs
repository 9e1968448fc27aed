//! Poolers that hold no snapshot are recognised by what they do.
//!
//! The pooler here is a stand-in for `PgBouncer` in front of the real Postgres: it gives each transaction, or each
//! statement, the server process that was given back last.

use std::sync::Arc;

use migrate_core::{ErrorKind, Source};
use migrate_tests::local_stack::Supabase;
use supabase_source::{PostgresSettings, PostgresSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::{project, request, source, walk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    Session,
    Transaction,
    Statement,
}

type Idle = Arc<Mutex<Vec<TcpStream>>>;

/// A message of the protocol with its type; none at the end.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
    let mut message = head.to_vec();
    message.resize(length + 1, 0);
    stream.read_exact(&mut message[5..]).await.ok()?;
    Some(message)
}

/// What the server says up to and with `ReadyForQuery`, and the state of the transaction.
async fn answer(server: &mut TcpStream) -> Option<(Vec<u8>, u8)> {
    let mut said = Vec::new();
    loop {
        let message = message(server).await?;
        said.extend(&message);
        if message[0] == b'Z' {
            return Some((said, message[5]));
        }
    }
}

async fn serve(mut client: TcpStream, port: u16, pooling: Pooling, idle: Idle) -> Option<()> {
    let mut startup = vec![0; 4];
    client.read_exact(&mut startup).await.ok()?;
    startup.resize(u32::from_be_bytes(startup[..4].try_into().unwrap()) as usize, 0);
    client.read_exact(&mut startup[4..]).await.ok()?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    server.write_all(&startup).await.ok()?;
    client.write_all(&answer(&mut server).await?.0).await.ok()?;
    let mut held = Some(server);
    loop {
        if pooling != Pooling::Session {
            idle.lock().await.extend(held.take());
        }
        loop {
            let message = message(&mut client).await.filter(|message| message[0] != b'X')?;
            if held.is_none() {
                held = idle.lock().await.pop();
            }
            let server = held.as_mut()?;
            server.write_all(&message).await.ok()?;
            if !matches!(message[0], b'Q' | b'S') {
                continue;
            }
            let (said, state) = answer(server).await?;
            if pooling == Pooling::Statement && state != b'I' {
                let fields = b"SFATAL\0C08P01\0Mtransaction blocks not allowed in statement pooling mode\0\0";
                let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
                client.write_all(&[&b"E"[..], &length, fields].concat()).await.ok()?;
                return None;
            }
            client.write_all(&said).await.ok()?;
            if state == b'I' {
                break;
            }
        }
    }
}

/// The address of a pooler in front of the project's Postgres.
async fn pooler(project: &Supabase, pooling: Pooling) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (port, idle) = (project.postgres().port(), Idle::default());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, port, pooling, idle.clone()));
        }
    });
    format!("postgresql://postgres@127.0.0.1:{own}/{}?sslmode=disable", project.database())
}

#[tokio::test]
async fn poolers_that_hold_no_snapshot_are_named_with_the_remedy() {
    let project = project("create table t (id int primary key, n int); insert into t values (1, 1), (2, 2);").await;
    for (pooling, name) in [(Pooling::Transaction, "transaction mode"), (Pooling::Statement, "statement mode")] {
        let pooled = PostgresSource::new(PostgresSettings::new(pooler(&project, pooling).await)).unwrap();
        let error = pooled.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.remedy().unwrap().contains("port 5432"), "{error:?}");
    }
    let session = PostgresSource::new(PostgresSettings::new(pooler(&project, Pooling::Session).await)).unwrap();
    for source in [&session, &source(&project)] {
        source.check().await.unwrap();
        assert_eq!(walk(source, request("t", &["id"], &["id", "n"], 1)).await.unwrap().len(), 2);
    }
    let hosted = "postgres://postgres.abcdefghijklmnopqrst:x@aws-0-eu-west-1.pooler.supabase.com:6543/postgres";
    let error = PostgresSource::new(PostgresSettings::new(hosted)).unwrap().check().await.unwrap_err();
    assert!(error.to_string().contains("port 6543"), "{error}");
}
