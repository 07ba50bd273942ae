//! Each type of resource that the templates make: how `ops doctor` looks at it, what `ops teardown` does with it, and
//! whether it costs anything while it lies around.

/// How `ops doctor` looks at a resource, beside CloudFormation's drift detection, which sees whether each is there and as
/// the template says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// By drift detection alone.
    Drift,
    /// Drift detection does not know the type: that it is there shows in what needs it.
    Indirectly,
    /// What is in the table, and whether it can be recovered.
    Table,
    /// What is in the bucket against what the catalogue says.
    Bucket,
    /// Whether messages lie in it that nobody could handle.
    Queue,
    /// Whether it holds the key whose public half the stack has.
    Secret,
    /// Whether its image is there and not old.
    LaunchTemplate,
    /// Whether its tick has gone well lately.
    Function,
    /// Whether it answers.
    Api,
}

/// What `ops teardown` does with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It goes with the stack.
    WithStack,
    /// It goes with the stack, or is kept by it (`DeletionPolicy: Retain`): then only `--purge` ends it.
    IfPurged,
    /// The same, but nothing here ends it.
    ByHand,
    /// It stays where the stack keeps it: others of the account may need it by now. It costs nothing.
    Stays,
}

/// A type of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// As CloudFormation names it.
    pub name: &'static str,
    /// How `ops doctor` looks at it.
    pub look: Look,
    /// What `ops teardown` does with it.
    pub end: End,
    /// Whether it costs anything although nobody uses it.
    pub billable: bool,
}

const fn kind(name: &'static str, look: Look, end: End, billable: bool) -> Kind {
    Kind {
        name,
        look,
        end,
        billable,
    }
}

/// All of them.
pub const KINDS: [Kind; 44] = [
    kind("AWS::ApiGateway::Account", Look::Drift, End::Stays, false),
    kind("AWS::ApiGatewayV2::Api", Look::Api, End::WithStack, false),
    kind("AWS::ApiGatewayV2::ApiMapping", Look::Drift, End::WithStack, false),
    kind("AWS::ApiGatewayV2::Authorizer", Look::Drift, End::WithStack, false),
    kind("AWS::ApiGatewayV2::DomainName", Look::Drift, End::WithStack, false),
    kind("AWS::ApiGatewayV2::Integration", Look::Drift, End::WithStack, false),
    kind("AWS::ApiGatewayV2::Route", Look::Drift, End::WithStack, false),
    kind("AWS::ApiGatewayV2::Stage", Look::Drift, End::WithStack, false),
    kind("AWS::Athena::NamedQuery", Look::Indirectly, End::WithStack, false),
    kind(
        "AWS::CertificateManager::Certificate",
        Look::Drift,
        End::WithStack,
        false,
    ),
    kind("AWS::CloudFront::Distribution", Look::Drift, End::WithStack, false),
    kind("AWS::CloudFront::Function", Look::Drift, End::WithStack, false),
    kind("AWS::CloudWatch::Alarm", Look::Drift, End::WithStack, true),
    // AWS's list of what drift detection knows has no dashboards.
    kind("AWS::CloudWatch::Dashboard", Look::Indirectly, End::WithStack, true),
    // It costs by who signs in.
    kind("AWS::Cognito::UserPool", Look::Drift, End::ByHand, false),
    kind("AWS::Cognito::UserPoolClient", Look::Drift, End::WithStack, false),
    kind("AWS::Cognito::UserPoolDomain", Look::Indirectly, End::WithStack, false),
    kind("AWS::DynamoDB::Table", Look::Table, End::IfPurged, true),
    kind("AWS::EC2::LaunchTemplate", Look::LaunchTemplate, End::WithStack, false),
    kind("AWS::EC2::SecurityGroup", Look::Drift, End::WithStack, false),
    // What is on it is in the bucket of models, too.
    kind("AWS::EFS::AccessPoint", Look::Drift, End::WithStack, false),
    kind("AWS::EFS::FileSystem", Look::Drift, End::WithStack, true),
    kind("AWS::EFS::MountTarget", Look::Drift, End::WithStack, false),
    kind("AWS::Events::Rule", Look::Drift, End::WithStack, false),
    kind("AWS::Glue::Database", Look::Indirectly, End::WithStack, false),
    kind("AWS::Glue::Table", Look::Indirectly, End::WithStack, false),
    kind("AWS::IAM::InstanceProfile", Look::Drift, End::WithStack, false),
    kind("AWS::IAM::ManagedPolicy", Look::Drift, End::WithStack, false),
    kind("AWS::IAM::Role", Look::Drift, End::Stays, false),
    kind("AWS::Lambda::EventInvokeConfig", Look::Drift, End::WithStack, false),
    kind("AWS::Lambda::EventSourceMapping", Look::Drift, End::WithStack, false),
    kind("AWS::Lambda::Function", Look::Function, End::WithStack, false),
    kind("AWS::Lambda::Permission", Look::Drift, End::WithStack, false),
    kind("AWS::Logs::LogGroup", Look::Drift, End::WithStack, true),
    kind("AWS::Logs::QueryDefinition", Look::Indirectly, End::WithStack, false),
    kind("AWS::Route53::RecordSet", Look::Drift, End::WithStack, false),
    kind("AWS::Route53::RecordSetGroup", Look::Drift, End::WithStack, false),
    kind("AWS::S3::Bucket", Look::Bucket, End::IfPurged, true),
    kind("AWS::S3::BucketPolicy", Look::Drift, End::WithStack, false),
    kind("AWS::SNS::Subscription", Look::Drift, End::WithStack, false),
    kind("AWS::SNS::Topic", Look::Drift, End::WithStack, false),
    kind("AWS::SQS::Queue", Look::Queue, End::WithStack, false),
    kind("AWS::SecretsManager::Secret", Look::Secret, End::WithStack, true),
    kind("AWS::WAFv2::WebACL", Look::Drift, End::WithStack, true),
];

/// What is known of a type.
pub fn of(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SAM makes of the template's functions and their events.
    const BY_SAM: [&str; 5] = [
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Events::Rule",
        "AWS::IAM::Role",
    ];

    fn types(template: &str) -> impl Iterator<Item = &str> {
        let resources = template.split_once("\nResources:\n").unwrap().1;
        let resources = resources.split_once("\nOutputs:\n").unwrap().0;
        resources.split("Type: AWS::").skip(1).map(|rest| {
            let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != ':');
            &rest[..end.unwrap_or(rest.len())]
        })
    }

    #[test]
    fn doctor_and_teardown_know_each_type_of_the_templates() {
        let (stack, edge) = (include_str!("../../template.yaml"), include_str!("../../edge.yaml"));
        let mut used: Vec<_> = types(stack).chain(types(edge)).collect();
        assert!(used.len() > 90, "{}", used.len());
        used.retain(|it| *it != "Serverless::Function");
        let used = used.into_iter().map(|it| format!("AWS::{it}"));
        let used: std::collections::BTreeSet<_> = used.chain(BY_SAM.map(str::to_owned)).collect();
        let known: std::collections::BTreeSet<_> = KINDS.iter().map(|it| it.name.to_owned()).collect();
        assert_eq!(used, known, "doctor and teardown read their lists from KINDS");
    }
}
