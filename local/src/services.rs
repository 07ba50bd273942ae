//! The services of AWS as the template sets them up, and nobody home: its functions do nothing. Calls of ours are tested
//! on it, without the time that building the functions takes.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, os::unix::fs::PermissionsExt, path::PathBuf};

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use cloud::{
    Bucket, Cloud, Queue, Sockets, Store,
    queue::Queued,
    tables::{Table, TableNames},
};
use fleet::{
    Fleet,
    ec2::{FleetConfig, connect_with},
};
use futures_util::{SinkExt, StreamExt};
use model::ConnectionId;
use ops::{keys, outputs::Outputs};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    build::FUNCTIONS,
    emulator::{self, Emulator},
    python,
    stack::STACK,
};

/// The running services. Stop them, or drop them and everything is killed.
#[derive(Debug)]
pub struct Services {
    emulator: Emulator,
    outputs: Outputs,
    keys: keys::Keys,
    _folder: tempfile::TempDir,
}

/// A WebSocket that somebody has opened.
#[derive(Debug)]
pub struct Connection {
    /// What API Gateway calls it.
    pub id: ConnectionId,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Services {
    /// Starts the emulator, which checks permissions, and deploys the template.
    pub async fn start() -> Result<Self> {
        let checkout = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let port = emulator::port(None)?;
        let requirements = checkout.join("local/emulator/requirements.txt");
        let python = python::environment(&checkout.join(".atelier/venv"), &requirements).await?;
        let folder = tempfile::Builder::new().prefix("atelier-services-").tempdir()?;
        let script = format!(
            "#!/bin/sh\nexec '{}' '{}'\n",
            python.display(),
            checkout.join("local/emulator/nobody.py").display()
        );
        let bootstraps = folder.path().join("bootstraps");
        for function in FUNCTIONS {
            let path = bootstraps.join(function).join("bootstrap");
            fs::create_dir_all(bootstraps.join(function))?;
            fs::write(&path, &script)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        let launcher = checkout.join("local/emulator/launcher.py");
        let emulator = Emulator::start(
            &python,
            &launcher,
            (Ipv4Addr::LOCALHOST.into(), port),
            folder.path(),
            true,
        )
        .await?;
        let endpoint = &emulator.calls.endpoint;
        let keys = keys::generate()?;
        let parameters = BTreeMap::from([("TokenPublicKey", keys.public.clone())]);
        let outputs = emulator::deploy(&python, &checkout, &bootstraps, endpoint, &parameters, true).await?;
        Ok(Self {
            outputs: Outputs::parse(&outputs)?,
            emulator,
            keys,
            _folder: folder,
        })
    }

    /// The SDK's configuration with the owner's credentials.
    pub async fn sdk(&self) -> SdkConfig {
        cloud::emulator_config(&self.emulator.calls.endpoint).await
    }

    /// The same with those of an instance, who may do nothing.
    pub async fn sdk_of_an_instance(&self) -> Result<SdkConfig> {
        let calls = &self.emulator.calls;
        let role = self.outputs.get("InstanceRoleArn")?;
        let credentials = calls.assume_role(role, "i-0123456789abcdef0").await?;
        Ok(cloud::emulator_config_as(&calls.endpoint, credentials.into()).await)
    }

    /// Address of the emulator.
    pub fn endpoint(&self) -> &str {
        &self.emulator.calls.endpoint
    }

    /// The stack's outputs.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// The key pair whose public half the stack checks tokens with. The private half is stored nowhere yet.
    pub fn keys(&self) -> &keys::Keys {
        &self.keys
    }

    /// A call of a service that speaks JSON, for what ours never ask of it.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        self.emulator.calls.json(service, target, body).await
    }

    /// The same of one that speaks forms.
    pub async fn form(&self, service: &str, form: &[(&str, &str)]) -> Result<String> {
        self.emulator.calls.form(service, form).await
    }

    /// Calls the function of this output, as its schedule would.
    pub async fn invoke(&self, function: &str) -> Result<Value> {
        self.emulator
            .calls
            .invoke(self.outputs.get(function)?, &json!({}))
            .await
    }

    /// What handlers reach. The queue is that of messages which nobody could handle, since nobody takes them away.
    pub fn cloud(&self, sdk: &SdkConfig) -> Result<Cloud> {
        let output = |name: &str| Ok::<_, anyhow::Error>(self.outputs.get(name)?.to_owned());
        Ok(Cloud {
            store: Store::dynamo(sdk, self.outputs.tables()?),
            queue: Queue::sqs(sdk, output("DeadTasksUrl")?),
            bucket: Bucket::s3(sdk, output("Bucket")?),
            models: Bucket::s3(sdk, output("ModelsBucket")?),
            sockets: Sockets::api_gateway(sdk, &self.outputs.callback_url()?),
        })
    }

    /// The same on things that are not there.
    pub fn nowhere(&self, sdk: &SdkConfig) -> Cloud {
        let endpoint = &self.emulator.calls.endpoint;
        Cloud {
            store: Store::dynamo(sdk, TableNames::read(|table: Table| format!("no-{table:?}"))),
            queue: Queue::sqs(sdk, format!("{endpoint}/000000000000/no-queue")),
            bucket: Bucket::s3(sdk, "no-pictures".to_owned()),
            models: Bucket::s3(sdk, "no-models".to_owned()),
            sockets: Sockets::api_gateway(sdk, &format!("{endpoint}/_aws/execute-api/nothing/live")),
        }
    }

    /// The instances.
    pub async fn fleet(&self, sdk: &SdkConfig) -> Result<Fleet> {
        let config = FleetConfig {
            launch_template: self.outputs.get("LaunchTemplateId")?.to_owned(),
            subnets: Vec::new(),
            stack: STACK.to_owned(),
            image: None,
        };
        Ok(connect_with(sdk, config).await)
    }

    /// The messages in the queue that were not received before.
    pub async fn received(&self) -> Result<Vec<Queued>> {
        let mut received = Vec::new();
        loop {
            let wanted = json!({ "QueueUrl": self.outputs.get("DeadTasksUrl")?, "MaxNumberOfMessages": 10 });
            let reply = self
                .emulator
                .calls
                .json("sqs", "AmazonSQS.ReceiveMessage", &wanted)
                .await?;
            let messages = reply["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(received);
            }
            for message in messages {
                let body = message["Body"].as_str().unwrap_or_default();
                received.push(serde_json::from_str(body).context("a message is none of ours")?);
            }
        }
    }

    /// What DynamoDB says of a table.
    pub async fn described(&self, table: Table) -> Result<Value> {
        let tables = self.outputs.tables()?;
        let wanted = json!({ "TableName": tables.of(table) });
        let calls = &self.emulator.calls;
        Ok(calls
            .json("dynamodb", "DynamoDB_20120810.DescribeTable", &wanted)
            .await?["Table"]
            .take())
    }

    /// Opens a WebSocket.
    pub async fn connect(&self) -> Result<Connection> {
        let mut request = self.outputs.get("SocketUrl")?.into_client_request()?;
        request.headers_mut().insert("authorization", "Bearer nobody".parse()?);
        let (mut socket, _) = connect_async(request).await?;
        socket.send(Message::text("who am I?")).await?;
        let mut connection = Connection {
            id: ConnectionId::new(""),
            socket,
        };
        connection.id = ConnectionId::new(connection.next().await?);
        Ok(connection)
    }

    /// Ends everything; waits until it is gone.
    pub async fn stop(mut self) {
        self.emulator.stop().await;
    }
}

impl Connection {
    /// The next message.
    pub async fn next(&mut self) -> Result<String> {
        match self.socket.next().await.context("the WebSocket was closed")?? {
            Message::Text(text) => Ok(text.to_string()),
            other => bail!("{other:?} is no text"),
        }
    }

    /// Closes it.
    pub async fn close(mut self) -> Result<()> {
        self.socket.close(None).await?;
        while self.socket.next().await.is_some_and(|message| message.is_ok()) {}
        Ok(())
    }
}
