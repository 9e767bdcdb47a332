#!/bin/bash
# Starts a single-node Kubernetes cluster of real components: RBAC, Node authorization, NodeRestriction and Pod Security
# admission are on, and a certificate of one CA is what every component shows. Everything it writes is under
# $CLUSTER_DIR; the admin kubeconfig is $CLUSTER_DIR/kubeconfig.
#
# DNS is CoreDNS as a pod labelled `k8s-app: kube-dns`; the default StorageClass makes a local volume a claim;
# NetworkPolicies are enforced for pods by kube-router, but traffic from the node itself is always let through. It lacks
# load balancers, an ingress controller and a metrics server. localhost/busybox:1 is there for pods of tests; its
# `wget -T` crashes, so they write `timeout 3 wget`.
set -euo pipefail
SCRIPTS=$(dirname "$(readlink -f "$0")")
. "$SCRIPTS/lib.sh"

PKI=$CLUSTER_DIR/pki

# spawn NAME COMMAND...: starts a daemon, its output in logs/NAME.log.
spawn() {
	local name=$1 pid
	shift
	setsid nohup "$@" >"$CLUSTER_DIR/logs/$name.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid $(started $pid)" >"$CLUSTER_DIR/pids/$name"
}

# await SECONDS WHAT NAME COMMAND...: waits until COMMAND succeeds, and gives up
# early if the daemon NAME ends.
await() {
	local deadline=$((SECONDS + $1)) what=$2 name=$3
	shift 3
	until "$@" >/dev/null 2>&1; do
		running "$name" || failed "$name ended before $what" "$name"
		[ $SECONDS -lt $deadline ] || failed "timed out waiting for $what" "$name"
		sleep 0.2
	done
}

failed() {
	echo "up.sh: $1; the end of $CLUSTER_DIR/logs/$2.log:" >&2
	tail -n 15 "$CLUSTER_DIR/logs/$2.log" >&2
	echo "up.sh: run down.sh to clean up" >&2
	exit 1
}

# --- Certificates -----------------------------------------------------------

# cert NAME SUBJECT USAGE [SUBJECT_ALT_NAMES]: a key and a certificate of the cluster's CA.
cert() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
		-keyout "$PKI/$1.key" -subj "$2" -out "$PKI/$1.csr" 2>/dev/null
	{
		echo "extendedKeyUsage=$3"
		[ -z "${4:-}" ] || echo "subjectAltName=$4"
	} >"$PKI/$1.ext"
	openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial \
		-days 365 -extfile "$PKI/$1.ext" -out "$PKI/$1.crt" 2>/dev/null
	rm "$PKI/$1.csr" "$PKI/$1.ext"
}

# kubeconfig FILE NAME SUBJECT: a kubeconfig with a new client certificate.
kubeconfig() {
	cert "$2" "$3" clientAuth
	cat >"$1" <<-EOF
	apiVersion: v1
	kind: Config
	current-context: cluster
	clusters:
	- name: cluster
	  cluster:
	    server: $API_URL
	    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
	users:
	- name: $2
	  user:
	    client-certificate-data: $(base64 -w0 "$PKI/$2.crt")
	    client-key-data: $(base64 -w0 "$PKI/$2.key")
	contexts:
	- name: cluster
	  context: {cluster: cluster, user: $2}
	EOF
}

certificates() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
		-keyout "$PKI/ca.key" -subj /CN=cluster-ca -out "$PKI/ca.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
	openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
	cert apiserver /CN=kube-apiserver serverAuth "IP:$NODE_IP,IP:$API_SERVICE_IP,DNS:kubernetes,\
DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
	cert front-proxy /CN=front-proxy-client clientAuth
	cert apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
	cert kubelet-server /O=system:nodes/CN=system:node:$NODE_NAME serverAuth "IP:$NODE_IP,DNS:$NODE_NAME"
	kubeconfig "$KUBECONFIG" admin /O=system:masters/CN=admin
	kubeconfig "$PKI/kubelet.conf" kubelet /O=system:nodes/CN=system:node:$NODE_NAME
	kubeconfig "$PKI/controller-manager.conf" controller-manager /CN=system:kube-controller-manager
	kubeconfig "$PKI/scheduler.conf" scheduler /CN=system:kube-scheduler
	kubeconfig "$PKI/proxy.conf" proxy /CN=system:kube-proxy
	kubeconfig "$PKI/provisioner.conf" provisioner /CN=system:local-provisioner
	kubeconfig "$PKI/netpol.conf" netpol /CN=system:network-policy-controller
}

# --- Network ----------------------------------------------------------------

network() {
	local s
	for s in $SYSCTLS; do
		echo "$s=$(sysctl -n "$s")"
	done >"$CLUSTER_DIR/sysctls" 2>/dev/null || true
	sysctl -q -w net.ipv4.ip_forward=1
	# Without this, packets between pods on the bridge would pass by the Service
	# and NetworkPolicy rules.
	sysctl -q -w net.bridge.bridge-nf-call-iptables=1

	ip link add $NODE_BRIDGE type bridge
	ip addr add "$NODE_IP/32" dev $NODE_BRIDGE
	ip link set $NODE_BRIDGE up

	# What still names a Service here came before kube-proxy knew it. Let out, it could get an answer from a network
	# outside that answers anything, and a gRPC client would stay with that.
	# In the table before the one in which kube-router accepts.
	iptables -w -t mangle -A FORWARD -d $SERVICE_CIDR -m comment --comment cluster-pods -j DROP
	iptables -w -A FORWARD -i $POD_BRIDGE -m comment --comment cluster-pods -j ACCEPT
	iptables -w -A FORWARD -o $POD_BRIDGE -m comment --comment cluster-pods -j ACCEPT
	iptables -w -t nat -A POSTROUTING -s $CLUSTER_CIDR ! -d $CLUSTER_CIDR \
		-m comment --comment cluster-pods -j MASQUERADE

	cat >"$CLUSTER_DIR/cni/10-bridge.conflist" <<-EOF
	{
	  "cniVersion": "0.4.0",
	  "name": "$POD_BRIDGE",
	  "plugins": [
	    {
	      "type": "bridge", "bridge": "$POD_BRIDGE", "isGateway": true, "hairpinMode": true,
	      "ipam": {
	        "type": "host-local", "dataDir": "$CLUSTER_DIR/cni-ipam",
	        "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]
	      }
	    },
	    {"type": "portmap", "capabilities": {"portMappings": true}}
	  ]
	}
	EOF
}

# --- Container runtime ------------------------------------------------------

containerd_() {
	local d=$CLUSTER_DIR/containerd r
	for r in $CLUSTER_REGISTRIES; do
		mkdir -p "$d/certs.d/$r"
		printf 'server = "http://%s"\n[host."http://%s"]\n' "$r" "$r" >"$d/certs.d/$r/hosts.toml"
	done
	cat >"$d/config.toml" <<-EOF
	version = 2
	root = "$d/root"
	state = "$d/run"
	disabled_plugins = ["io.containerd.internal.v1.opt"]

	[grpc]
	  address = "$CONTAINERD_SOCKET"

	[plugins."io.containerd.grpc.v1.cri"]
	  sandbox_image = "localhost/pause:1"
	  netns_mounts_under_state_dir = true
	  # A host without CAP_SYS_RESOURCE can't lower a process's OOM score.
	  restrict_oom_score_adj = true
	  [plugins."io.containerd.grpc.v1.cri".cni]
	    bin_dir = "/usr/lib/cni"
	    conf_dir = "$CLUSTER_DIR/cni"
	  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
	    runtime_type = "io.containerd.runc.v2"
	    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
	      Root = "$d/runc"
	  [plugins."io.containerd.grpc.v1.cri".registry]
	    config_path = "$d/certs.d"
	EOF
	spawn containerd containerd --config "$d/config.toml"
}

# image NAME ENTRYPOINT FILE...: packs static programs into an image and imports it.
image() {
	local name=$1 entrypoint=$2 work
	shift 2
	work=$(mktemp -d "$CLUSTER_DIR/image.XXXXXX")
	mkdir -p "$work/rootfs/bin"
	cp "$@" "$work/rootfs/bin/"
	if [ "$entrypoint" = busybox ]; then
		for a in $(busybox --list | grep -vx busybox); do ln -s busybox "$work/rootfs/bin/$a"; done
		mkdir -m 1777 "$work/rootfs/tmp"
	fi
	"$SCRIPTS/pack-image.sh" "$work/layout" "$work/rootfs" "/bin/$entrypoint"
	"$SCRIPTS/load-image.sh" "$work/layout" "$name" >/dev/null
	rm -rf "$work"
}

# --- Control plane and node -------------------------------------------------

control_plane() {
	spawn etcd etcd --data-dir "$CLUSTER_DIR/etcd" \
		--listen-client-urls "http://127.0.0.1:$ETCD_PORT" \
		--advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
		--listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT"
	spawn kube-apiserver kube-apiserver \
		--etcd-servers="http://127.0.0.1:$ETCD_PORT" \
		--bind-address="$NODE_IP" --secure-port=6443 --advertise-address="$NODE_IP" \
		--tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
		--client-ca-file="$PKI/ca.crt" \
		--requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy-client \
		--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
		--requestheader-extra-headers-prefix=X-Remote-Extra- \
		--proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key" \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction,PodSecurity \
		--kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
		--kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key" \
		--service-account-issuer=https://kubernetes.default.svc.cluster.local \
		--service-account-key-file="$PKI/sa.key" --service-account-signing-key-file="$PKI/sa.key" \
		--service-cluster-ip-range=$SERVICE_CIDR --allow-privileged=true
	await 60 "the API server" kube-apiserver kubectl get --raw /readyz
	await 30 "the system namespaces" kube-apiserver kubectl get namespace default kube-system

	local conf=$PKI/controller-manager.conf
	spawn kube-controller-manager kube-controller-manager \
		--kubeconfig="$conf" --authentication-kubeconfig="$conf" --authorization-kubeconfig="$conf" \
		--bind-address="$NODE_IP" --leader-elect=false --use-service-account-credentials=true \
		--root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/sa.key" \
		--cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
		--allocate-node-cidrs=true --cluster-cidr=$CLUSTER_CIDR --service-cluster-ip-range=$SERVICE_CIDR
	conf=$PKI/scheduler.conf
	spawn kube-scheduler kube-scheduler \
		--kubeconfig="$conf" --authentication-kubeconfig="$conf" --authorization-kubeconfig="$conf" \
		--bind-address="$NODE_IP" --leader-elect=false
}

node() {
	cat >"$CLUSTER_DIR/kubelet.yaml" <<-EOF
	apiVersion: kubelet.config.k8s.io/v1beta1
	kind: KubeletConfiguration
	address: $NODE_IP
	healthzBindAddress: $NODE_IP
	authentication:
	  anonymous: {enabled: false}
	  webhook: {enabled: true}
	  x509: {clientCAFile: $PKI/ca.crt}
	authorization: {mode: Webhook}
	tlsCertFile: $PKI/kubelet-server.crt
	tlsPrivateKeyFile: $PKI/kubelet-server.key
	containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
	cgroupDriver: cgroupfs
	failCgroupV1: false
	failSwapOn: false
	clusterDNS: [$DNS_SERVICE_IP]
	clusterDomain: cluster.local
	podLogsDir: $CLUSTER_DIR/pod-logs
	serializeImagePulls: false
	# Imported images can't be pulled again: they are never collected, nor pulled
	# anew because the same image was once pulled under another name.
	imageGCHighThresholdPercent: 100
	imagePullCredentialsVerificationPolicy: NeverVerify
	# The node stays usable on a disk that is mostly full.
	evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
	EOF
	spawn kubelet kubelet --config="$CLUSTER_DIR/kubelet.yaml" --kubeconfig="$PKI/kubelet.conf" \
		--root-dir="$CLUSTER_DIR/kubelet" --cert-dir="$CLUSTER_DIR/kubelet/pki" \
		--hostname-override=$NODE_NAME --node-ip="$NODE_IP"

	cat >"$CLUSTER_DIR/proxy.yaml" <<-EOF
	apiVersion: kubeproxy.config.k8s.io/v1alpha1
	kind: KubeProxyConfiguration
	clientConnection: {kubeconfig: $PKI/proxy.conf}
	mode: iptables
	clusterCIDR: $CLUSTER_CIDR
	hostnameOverride: $NODE_NAME
	bindAddress: $NODE_IP
	healthzBindAddress: $NODE_IP:10256
	metricsBindAddress: $NODE_IP:10249
	nodePortAddresses: [$NODE_IP/32]
	iptables: {localhostNodePorts: false}
	conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	EOF
	spawn kube-proxy kube-proxy --config="$CLUSTER_DIR/proxy.yaml"

	spawn provisioner provisioner --kubeconfig="$PKI/provisioner.conf" --dir="$CLUSTER_DIR/volumes"
}

# The controller needs the node's pod CIDR, so it comes after the kubelet.
network_policy() {
	await 60 "the node's pod CIDR" kubelet \
		sh -c "kubectl get node $NODE_NAME -o jsonpath={.spec.podCIDR} | grep -q /"
	spawn kube-router kube-router --kubeconfig="$PKI/netpol.conf" --hostname-override=$NODE_NAME \
		--run-firewall=true --run-router=false --run-service-proxy=false --run-loadbalancer=false \
		--service-cluster-ip-range=$SERVICE_CIDR --enable-ipv4=true --enable-ipv6=false \
		--health-port=0 --metrics-port=0
}

dns_works() {
	busybox nslookup kubernetes.default.svc.cluster.local $DNS_SERVICE_IP | grep -q "Address.*$API_SERVICE_IP"
}

# ----------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || die "needs root"
[ ! -e "$CLUSTER_DIR/pids" ] || die "$CLUSTER_DIR is in use: run down.sh first"
[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name kubepods)" ] || die "another kubelet runs on this machine"
for p in kube-apiserver kubelet kube-router coredns crictl containerd etcd jq; do
	command -v $p >/dev/null || die "$p is missing"
done

umask 022
mkdir -p "$CLUSTER_DIR"/{pids,logs,cni,containerd,volumes}
mkdir -m 700 "$PKI" "$CLUSTER_DIR/etcd"

network
containerd_
certificates
control_plane
sed "s/@DNS_SERVICE_IP@/$DNS_SERVICE_IP/" "$SCRIPTS/manifests.yaml" | kubectl apply -f - >/dev/null
node
await 30 containerd containerd ctr_ version
image localhost/pause:1 pause "$(command -v pause)"
image localhost/coredns:1 coredns "$(command -v coredns)"
image localhost/busybox:1 busybox "$(command -v busybox)"
network_policy
await 90 "the node" kubelet sh -c "kubectl wait --for=condition=Ready node/$NODE_NAME --timeout=5s"
await 90 "cluster DNS" kubelet dns_works
await 30 "the default ServiceAccount" kube-controller-manager kubectl -n default get serviceaccount default
echo "cluster up in $SECONDS s: export KUBECONFIG=$KUBECONFIG"
