//! What the router understood of a form is what the provider reads: every case through the
//! balancer, and what comes out of it through the readers that providers have.

mod go;
mod readers;

#[path = "../../forms/cases.rs"]
mod cases;

use bytes::Bytes;
use hyper::Method;
use llm_balancer_integration::{Received, World, raw};

use cases::{Entry, PARAMS, all, set};
use readers::{Sent, nodes, starlette};

async fn world() -> World {
    World::new(&format!(
        "model_list:\n- {{model_name: g, litellm_params: {{model: openai/m-paris, api_base: PROVIDER/paris/v1, api_key: k, {PARAMS}}}}}\n"
    ))
    .await
}

fn sorted(mut parts: Vec<Entry>) -> Vec<Entry> {
    parts.sort();
    parts
}

fn sent(received: &Received) -> Sent {
    let content_type = received.header("content-type").expect("a content-type").to_owned();
    Sent { content_type, body: received.body.clone() }
}

#[tokio::test]
async fn every_reader_of_a_form_sees_what_the_router_understood() {
    let world = world().await;
    let (mut forms, mut expected) = (Vec::new(), Vec::new());
    for case in all() {
        world.provider.forget();
        let body = Bytes::from(case.body);
        let reply = world.send(Method::POST, &case.path, &case.content_type, body).await;
        let Some(parts) = case.sent else {
            assert_eq!(reply.status, 400, "{}: {}", case.about, reply.text());
            assert_eq!(reply.error(400)["type"], "invalid_request_error", "{}", case.about);
            assert!(world.provider.received().is_empty(), "{}", case.about);
            continue;
        };
        assert_eq!(reply.status, 200, "{}: {}", case.about, reply.text());
        forms.push(sent(&world.provider.only_request()));
        expected.push((case.about, sorted([set("m-paris").to_vec(), parts].concat())));
    }
    assert!(forms.len() > 60, "{}", forms.len());
    for (reader, read) in [
        ("Starlette", starlette(&forms)),
        ("busboy", nodes("busboy", &forms)),
        ("multer", nodes("multer", &forms)),
        ("Go", forms.iter().map(go::read).collect()),
    ] {
        assert_eq!(read.len(), expected.len(), "{reader}");
        for (read, (about, expected)) in read.into_iter().zip(&expected) {
            let read = read.unwrap_or_else(|error| panic!("{reader}, {about}: {error}"));
            assert_eq!(&sorted(read), expected, "{reader}, {about}");
        }
    }
}

/// The cases are worth something: a reader of the client's own bytes takes another model than the
/// router would.
#[test]
fn readers_of_the_forms_that_are_refused_would_see_another_model() {
    let refused: Vec<_> = all().into_iter().filter(|case| case.sent.is_none()).collect();
    let forms: Vec<Sent> = refused
        .iter()
        .map(|case| Sent { content_type: case.content_type.clone(), body: case.body.clone() })
        .collect();
    let evil = |read: &Result<Vec<Entry>, String>| {
        let model = |(name, _, content): &Entry| name == "model" && content == b"evil";
        read.as_ref().is_ok_and(|parts| parts.iter().any(model))
    };
    for (reader, read, least) in [
        ("Starlette", starlette(&forms), 20),
        ("busboy", nodes("busboy", &forms), 10),
        ("Go", forms.iter().map(go::read).collect(), 5),
    ] {
        let fooled: Vec<&str> = refused
            .iter()
            .zip(&read)
            .filter(|(_, read)| evil(read))
            .map(|(case, _)| case.about.as_str())
            .collect();
        assert!(fooled.len() >= least, "{reader}: {fooled:?}");
        println!("{reader} takes the client's model in {} of {}: {fooled:#?}", fooled.len(), refused.len());
    }
}

#[tokio::test]
async fn a_form_under_two_content_types_is_refused() {
    let world = world().await;
    let part = |boundary: &str, model: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--{boundary}--\r\n"
        )
    };
    let body = part("XX", "g") + &part("YY", "evil");
    for order in [["XX", "YY"], ["YY", "XX"]] {
        let headers =
            order.map(|boundary| format!("content-type: multipart/form-data; boundary={boundary}\r\n"));
        let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\n";
        let request = format!("{head}{}content-length: {}\r\n\r\n{body}", headers.concat(), body.len());
        let answer = raw::request(world.balancer.port, request.as_bytes()).await;
        assert_eq!(raw::status(&answer), 400, "{answer}");
    }
    assert!(world.provider.received().is_empty());
}
