//! What lies around costs: AWS's list prices, us-east-1, as of August 2026, without tax, discounts and free tiers.
//! Those of storage tiers and of EFS are from [elsewhere](TIERS_SOURCE), machine time is in [`policy::price`].

use fleet::remains::Disk;
use model::MicroUsd;

/// Where they are from, for whoever reads an estimate.
pub const SOURCE: &str = "AWS's list prices in us-east-1, August 2026";

/// A GiB of a gp3 volume for a month. <https://aws.amazon.com/ebs/pricing/>
pub const DISK_GIB_MONTH: MicroUsd = MicroUsd(80_000);
/// A MB/s of a gp3 volume's throughput for a month, beyond those that cost nothing.
const THROUGHPUT_MONTH: MicroUsd = MicroUsd(40_000);
/// MB/s of a gp3 volume that cost nothing.
pub const FREE_THROUGHPUT: u64 = 125;
/// A GiB of a snapshot for a month. <https://aws.amazon.com/ebs/pricing/>
pub const SNAPSHOT_GIB_MONTH: MicroUsd = MicroUsd(50_000);
/// A secret for a month. <https://aws.amazon.com/secrets-manager/pricing/>
pub const SECRET_MONTH: MicroUsd = MicroUsd(400_000);
/// A GiB in a bucket for a month (S3 Standard, and Intelligent-Tiering for what was read in the last 30 days).
/// <https://aws.amazon.com/s3/pricing/>
pub const BUCKET_GIB_MONTH: MicroUsd = MicroUsd(23_000);
/// The same in Intelligent-Tiering, for what was not read for 30 days.
pub const BUCKET_INFREQUENT_GIB_MONTH: MicroUsd = MicroUsd(12_500);
/// The same, for what was not read for 90 days (Archive Instant Access). Reading costs nothing in any of these tiers.
pub const BUCKET_ARCHIVE_GIB_MONTH: MicroUsd = MicroUsd(4_000);
/// What Intelligent-Tiering asks for looking after a thousand files for a month.
pub const BUCKET_WATCH_THOUSAND_MONTH: MicroUsd = MicroUsd(2_500);
/// A GiB on a regional EFS with elastic throughput for a month. <https://aws.amazon.com/efs/pricing/>
pub const EFS_GIB_MONTH: MicroUsd = MicroUsd(300_000);
/// The same in Infrequent Access.
pub const EFS_INFREQUENT_GIB_MONTH: MicroUsd = MicroUsd(16_000);
/// The same in Archive.
pub const EFS_ARCHIVE_GIB_MONTH: MicroUsd = MicroUsd(8_000);
/// Reading a GiB from EFS.
pub const EFS_READ_GIB: MicroUsd = MicroUsd(30_000);
/// Writing a GiB to EFS.
pub const EFS_WRITE_GIB: MicroUsd = MicroUsd(60_000);
/// What reading a GiB from Infrequent Access costs more, and what a GiB costs that goes there.
pub const EFS_INFREQUENT_GIB: MicroUsd = MicroUsd(10_000);
/// The same for Archive.
pub const EFS_ARCHIVE_GIB: MicroUsd = MicroUsd(30_000);
/// Where the prices of tiers and of EFS are from: AWS's own pages could not be read where this was written.
pub const TIERS_SOURCE: &str =
    "AWS's list prices in us-east-1, as others quoted them: S3 in June 2026, EFS in December 2023 and March 2026";
/// A GiB in a table with point-in-time recovery for a month: 0.25 and 0.20. <https://aws.amazon.com/dynamodb/pricing/on-demand/>
pub const TABLE_GIB_MONTH: MicroUsd = MicroUsd(450_000);
/// A GiB of logs kept for a month. <https://aws.amazon.com/cloudwatch/pricing/>
pub const LOG_GIB_MONTH: MicroUsd = MicroUsd(30_000);

/// So many bytes at a price for a GiB.
pub fn of_bytes(bytes: u64, gib: MicroUsd) -> MicroUsd {
    MicroUsd((u128::from(bytes) * u128::from(gib.0) / (1 << 30)) as u64)
}

/// So many GiB at a price for one.
pub fn of_gib(count: u64, gib: MicroUsd) -> MicroUsd {
    MicroUsd(count.saturating_mul(gib.0))
}

/// A gp3 volume's throughput, in MB/s, for a month.
pub fn of_throughput(throughput: u64) -> MicroUsd {
    MicroUsd(
        throughput
            .saturating_sub(FREE_THROUGHPUT)
            .saturating_mul(THROUGHPUT_MONTH.0),
    )
}

/// A volume for a month.
pub fn of_disk(disk: &Disk) -> MicroUsd {
    MicroUsd(of_gib(disk.gib, DISK_GIB_MONTH).0 + of_throughput(disk.throughput).0)
}

/// As people write it.
pub fn in_words(price: MicroUsd) -> String {
    format!("US$ {:.2}", price.0 as f64 / 1e6)
}
