# `packer init . && packer build .` makes the machine image of the GPU instances in an AWS account. It starts an instance
# for the time of the build, runs `provision` on it, and needs no GPU for that.

variable "version" {
  type        = string
  description = "Version of the image, told to the API by each worker, for example 2026-12-01."
}

variable "worker" {
  type        = string
  description = "The worker's binary for x86-64, built for a glibc that the base image has."
}

variable "worker_sha256" {
  type        = string
  description = "SHA-256 of that, hex; a tag of the image."
  default     = ""
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "instance_type" {
  type        = string
  description = "What the build runs on."
  default     = "m6i.xlarge"
}

variable "subnet" {
  type        = string
  description = "Subnet of the build, whose machines can be reached by SSH from here. Empty: one of the default VPC."
  default     = ""
}

variable "ubuntu" {
  type        = string
  description = "Release of Ubuntu: jammy-22.04 (standard support ends in spring 2027) or noble-24.04."
  default     = "jammy-22.04"
}

variable "base_name" {
  type        = string
  description = "Name filter of another base image, such as AWS's Deep Learning Base; the newest is taken. Empty: Ubuntu's."
  default     = ""
}

variable "base_owner" {
  type        = string
  description = "Account that owns that base image: amazon for a Deep Learning image."
  default     = "amazon"
}

variable "canonical" {
  type        = string
  description = "Canonical's account, which owns Ubuntu's images; GovCloud has 513442679011, China 837727238323."
  default     = "099720109477"
}

variable "gpu" {
  type        = string
  description = "What is installed of NVIDIA: driver (with the container toolkit), toolkit where the base has the driver, or none."
  default     = "driver"
}

variable "comfyui" {
  type        = string
  description = "Where ComfyUI comes from: release (GitHub, by the checksum in `versions`) or wheel (PyPI)."
  default     = "wheel"
}

variable "nodes" {
  type        = string
  description = "Packs of custom nodes, by their names in `versions`, parted by spaces: ipadapter, controlnet_aux."
  default     = ""
}

variable "efs" {
  type        = bool
  description = "Whether the mount helper of EFS is in it, which the template's SharedModels=efs needs."
  default     = false
}

variable "volume_gib" {
  type        = number
  description = "Size of the root volume. Models lie on it where an instance has no disk of its own."
  default     = 100
}

locals {
  ubuntu = "ubuntu/images/hvm-ssd*/ubuntu-${var.ubuntu}-amd64-server-*"
}

source "amazon-ebs" "worker" {
  region        = var.region
  instance_type = var.instance_type
  subnet_id     = var.subnet
  ssh_username  = "ubuntu"
  ami_name      = "atelier-${var.version}-{{timestamp}}"
  imds_support  = "v2.0" # newer than Debian's packer

  ssh_clear_authorized_keys = true

  associate_public_ip_address = var.subnet == "" ? null : true

  source_ami_filter {
    filters = {
      name                = var.base_name == "" ? local.ubuntu : var.base_name
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.base_name == "" ? var.canonical : var.base_owner]
    most_recent = true
  }

  metadata_options { # newer than Debian's packer
    http_tokens = "required"
  } # newer than Debian's packer

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = var.volume_gib
    iops                  = 3000
    throughput            = 250
    delete_on_termination = true
  }

  tags = {
    Name              = "atelier-${var.version}"
    "atelier:version" = var.version
    "atelier:worker"  = var.worker_sha256
    "atelier:base"    = "{{ .SourceAMIName }}"
  }
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "shell" {
    inline = ["cloud-init status --wait || true", "mkdir /tmp/image"]
  }

  provisioner "file" {
    source      = "${path.root}/"
    destination = "/tmp/image"
  }

  provisioner "file" {
    source      = var.worker
    destination = "/tmp/image/worker"
  }

  provisioner "shell" {
    environment_vars = [
      "ATELIER_IMAGE=${var.version}",
      "ATELIER_GPU=${var.gpu}",
      "ATELIER_COMFYUI=${var.comfyui}",
      "ATELIER_NODES=${var.nodes}",
      "ATELIER_EFS=${var.efs}",
      "ATELIER_BASE=${build.SourceAMI}",
    ]
    execute_command = "sudo env {{ .Vars }} bash -e {{ .Path }}" # -e: an image of which a part has failed is none
    inline          = ["bash /tmp/image/provision", "rm -rf /tmp/image", "cloud-init clean --logs --machine-id"]
  }

  post-processor "manifest" {
    output = "image.json"
  }
}
