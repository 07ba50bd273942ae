//! The one document of the HTTP API, made of what the functions' routers say of themselves: committed, served, and checked
//! against the template and the table of who may call what.

use std::{collections::BTreeSet, fs, path::PathBuf};

use accounts::access::{self, Access};
use cloud::http::{ErrorBody, GatewayError};
use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

use crate::{
    routes,
    support::{NOW, World, http, workspace},
};

fn path() -> PathBuf {
    workspace().join("docs/openapi.json")
}

/// The functions' routes, as each router describes them.
fn described() -> Vec<Value> {
    let documents = [
        account::routes().split_for_parts().1,
        generate::routes().split_for_parts().1,
        claim::routes().split_for_parts().1,
        catalog_function::routes().split_for_parts().1,
        studio::routes().split_for_parts().1,
    ];
    documents.iter().map(|it| serde_json::to_value(it).unwrap()).collect()
}

/// The whole document: the routes with their security, and what API Gateway and every function may answer besides.
fn document() -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for part in described() {
        paths.extend(part["paths"].as_object().unwrap().clone());
        if let Some(more) = part.pointer("/components/schemas").and_then(Value::as_object) {
            schemas.extend(more.clone());
        }
    }
    schemas.insert("ErrorBody".to_owned(), json!(ErrorBody::schema()));
    schemas.insert("GatewayError".to_owned(), json!(GatewayError::schema()));
    for (path, item) in &mut paths {
        for (method, operation) in item.as_object_mut().unwrap() {
            complete(&method.to_uppercase(), path, operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Atelier", "version": env!("CARGO_PKG_VERSION"),
            "description": "A studio's own elastic render cloud for Krita: the calls of painters, of their sign-in, and of \
                            the render machines. What a schema cannot say is in docs/http-api.md.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }, "session": { "type": "apiKey", "in": "cookie", "name": "__Host-session" } },
        },
    })
}

fn complete(method: &str, path: &str, operation: &mut Value) {
    let page = operation["responses"]
        .as_object()
        .unwrap()
        .values()
        .any(|it| it.pointer("/content/text~1html; charset=utf-8").is_some());
    let access = access::of(method, path).unwrap_or_else(|| panic!("{method} {path} is not in the table of routes"));
    let mut more = vec![
        ("400", "Cannot be read"),
        ("404", "There is no such thing"),
        ("413", "Too large for API Gateway"),
        ("429", "Too much at once"),
        ("500", "Broken: trying again does not help"),
        ("503", "Something of ours does not work at the moment: try again"),
    ];
    if let Access::Session(_) = access {
        operation["security"] = json!([{ "session": [] }]);
    }
    if let Access::Roles(roles) | Access::Itself(roles) = access {
        operation["security"] = json!([{ "token": [] }]);
        operation["x-roles"] = json!(roles);
        more.push(("401", "Not signed in, or no more"));
        more.push(("403", "The token's role does not fit, or the token is another's"));
    }
    for (status, description) in more {
        let known = operation.pointer(&format!("/responses/{status}/description"));
        let known = known.and_then(Value::as_str).filter(|it| !it.is_empty());
        let either = json!({ "schema": { "oneOf": [
            { "$ref": "#/components/schemas/ErrorBody" }, { "$ref": "#/components/schemas/GatewayError" },
        ] } });
        let mut response = json!({
            "description": known.unwrap_or(description),
            "content": { "application/json": either },
        });
        if page {
            response["content"]["text/html; charset=utf-8"] = json!({ "schema": { "type": "string" } });
        }
        if ["429", "503"].contains(&status) {
            // API Gateway's own have none.
            response["headers"]["Retry-After"] = json!({
                "description": "Seconds after which to try again", "schema": { "type": "integer", "minimum": 0 },
            });
        }
        operation["responses"][status] = response;
    }
}

fn keys(document: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            keys.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    keys
}

/// `UPDATE_OPENAPI=1 cargo test -p system-tests --test handlers openapi` writes it anew.
#[test]
fn the_committed_document_is_what_the_routers_say() {
    let mut made = serde_json::to_string_pretty(&document()).unwrap();
    made.push('\n');
    #[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
    if std::env::var("UPDATE_OPENAPI").is_ok() {
        fs::write(path(), &made).unwrap();
    }
    let committed = fs::read_to_string(path()).unwrap();
    assert!(
        made == committed,
        "docs/openapi.json is old: UPDATE_OPENAPI=1 writes it anew"
    );
}

#[test]
fn everything_that_the_document_refers_to_is_in_it() {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| walk(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), BTreeSet::new());
    walk(&document, &mut found);
    assert!(!found.is_empty());
    for name in found {
        assert!(document.pointer(name.trim_start_matches('#')).is_some(), "{name}");
    }
}

#[test]
fn template_routers_document_and_table_name_the_same_routes_with_the_same_security() {
    let document = document();
    let template = routes::http_routes();
    let named: BTreeSet<_> = template.iter().map(|route| route.key.clone()).collect();
    assert_eq!(keys(&document), named, "document and template");
    let table: BTreeSet<_> = access::ROUTES.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(table, named, "table and template");
    assert_eq!(table.len(), access::ROUTES.len(), "a route is in the table twice");
    for route in template {
        let (method, path) = route.key.split_once(' ').unwrap();
        let operation = &document["paths"][path][method.to_lowercase()];
        let access = access::of(method, path).unwrap();
        assert_eq!(operation.get("security").is_none(), access == Access::Open, "{route:?}");
        assert_eq!(matches!(access, Access::Roles(_)), !route.open, "{route:?}");
    }
}

#[test]
fn each_function_routes_what_the_template_sends_to_it() {
    for (function, part) in ["account", "generate", "claim", "catalog", "studio"]
        .into_iter()
        .zip(described())
    {
        let sent: BTreeSet<_> = routes::http_routes()
            .into_iter()
            .filter(|route| route.function == function)
            .map(|route| route.key)
            .collect();
        assert_eq!(keys(&part), sent, "{function}");
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is_committed() {
    let world = World::new().await;
    let answer = world
        .http(http("GET /v1/openapi.json", "", None, &json!({})), NOW)
        .await;
    let committed: Value = serde_json::from_str(&fs::read_to_string(path()).unwrap()).unwrap();
    assert_eq!(answer.ok(), committed);
}
