//! What differs between AWS's own partition, GovCloud and China.

/// A partition of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partition {
    /// `aws`.
    Commercial,
    /// `aws-cn`.
    China,
    /// `aws-us-gov`.
    Government,
}

impl Partition {
    /// Of a region.
    pub(crate) fn of(region: &str) -> Self {
        match region {
            china if china.starts_with("cn-") => Self::China,
            government if government.starts_with("us-gov-") => Self::Government,
            _ => Self::Commercial,
        }
    }

    /// Where the services of a region answer: `<service>.<region>.<domain>`.
    pub(crate) const fn domain(self) -> &'static str {
        match self {
            Self::China => "amazonaws.com.cn",
            Self::Commercial | Self::Government => "amazonaws.com",
        }
    }

    /// Where people look at a region: `<region>.console.<domain>`.
    pub(crate) const fn console(self) -> &'static str {
        match self {
            Self::Commercial => "aws.amazon.com",
            Self::China => "amazonaws.cn",
            Self::Government => "amazonaws-us-gov.com",
        }
    }

    /// Host and region of IAM, which a partition has once. <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>
    pub(crate) const fn iam(self) -> (&'static str, &'static str) {
        match self {
            Self::Commercial => ("iam.amazonaws.com", "us-east-1"),
            Self::China => ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            Self::Government => ("iam.us-gov.amazonaws.com", "us-gov-west-1"),
        }
    }

    /// Canonical's account, which owns Ubuntu's images.
    /// <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/#ownership-verification>
    pub(crate) const fn canonical(self) -> &'static str {
        match self {
            Self::Commercial => "099720109477",
            Self::China => "837727238323",
            Self::Government => "513442679011",
        }
    }
}
