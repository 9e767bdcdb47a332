# All three images at once, without xtask:
#
#     CHECKOUT=../goverse docker buildx bake --file docker/docker-bake.hcl
#
# `cargo xtask release --builder buildx` reads this file too and lays release.toml over it: what stands here and not
# there (ssh, entitlements, more contexts) holds for both.

variable "CHECKOUT" {
  description = "A Goverse checkout, or an application of yours, whose generated code is committed"
  default     = "."
}

variable "VERSION" {
  description = "What the programs say of themselves"
  default     = "dev"
}

group "default" {
  targets = ["gate", "inspector", "node"]
}

target "_shared" {
  context   = CHECKOUT
  platforms = ["linux/amd64", "linux/arm64"]
  args = {
    LDFLAGS = "-s -w -X main.version=${VERSION}"
  }
}

target "gate" {
  inherits   = ["_shared"]
  dockerfile = "${BAKE_CMD_CONTEXT}/docker/Dockerfile.gate"
}

target "inspector" {
  inherits   = ["_shared"]
  dockerfile = "${BAKE_CMD_CONTEXT}/docker/Dockerfile.inspector"
}

target "node" {
  inherits   = ["_shared"]
  dockerfile = "${BAKE_CMD_CONTEXT}/docker/Dockerfile.node"
}
