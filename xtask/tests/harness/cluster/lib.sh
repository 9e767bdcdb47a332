# Shared settings of the cluster's scripts. Sourced, not run. Programs are found on the PATH; ../cluster.rs, which runs
# the scripts, puts them there.
# shellcheck shell=bash disable=SC2034

# All state of a running cluster, its logs in logs/.
: "${CLUSTER_DIR:=/var/lib/goverse-cluster}"
# Registries that are pulled from over plain HTTP, separated by spaces: HOST:PORT.
: "${CLUSTER_REGISTRIES:=}"

# The node has its own bridge for its address and another for the pods.
NODE_IP=10.250.0.1
ETCD_PORT=23790
ETCD_PEER_PORT=23800
NODE_NAME=node1
NODE_BRIDGE=cluster-node
POD_BRIDGE=cluster-pods
CLUSTER_CIDR=10.244.0.0/16
POD_CIDR=10.244.0.0/24        # what the controller manager gives the first node
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1      # first address of the service range
DNS_SERVICE_IP=10.96.0.10
API_URL=https://$NODE_IP:6443

CONTAINERD_SOCKET=$CLUSTER_DIR/containerd/run/containerd.sock
export KUBECONFIG=$CLUSTER_DIR/kubeconfig
export PATH=$PATH:/usr/sbin:/sbin

# Kernel settings that up.sh or the kubelet changes; down.sh puts them back.
SYSCTLS="net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables
	vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
	kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

ctr_() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

crictl_() { crictl --config /dev/null --timeout 30s --runtime-endpoint "unix://$CONTAINERD_SOCKET" "$@"; }

# started PID: the start time of a live process, which with the pid identifies it.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }

# running NAME: whether the process that NAME's pid file records still runs.
running() {
	local pid start
	[ -s "$CLUSTER_DIR/pids/$1" ] || return 1
	read -r pid start <"$CLUSTER_DIR/pids/$1"
	[ -n "$start" ] && [ "$(started "$pid")" = "$start" ]
}
