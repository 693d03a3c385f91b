package transport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/raft"
)

// What a stream says about its two ends. The receiver answers with headerNode when it accepts.
const (
	headerCluster  = "quorate-cluster"
	headerNode     = "quorate-node" // who speaks
	headerTo       = "quorate-to"   // whom the speaker believes to speak to
	headerDisk     = "quorate-disk"
	headerOrigin   = "quorate-origin"
	headerFounding = "quorate-founding"
	headerProcess  = "quorate-process"
)

// A connection whose other end is gone without a word is given up after keepaliveTimeout if something is under way,
// and after keepaliveTime more if it is silent.
const (
	keepaliveTime    = 10 * time.Second // the shortest that gRPC allows
	keepaliveTimeout = 2 * time.Second
	windowBytes      = 4 << 20
	bufferBytes      = 256 << 10
	idleNever        = 0
)

// What others than peers may do at the port where nodes speak. A peer has one connection with one stream.
const (
	ConnectionsMax = 1024            // more wait to be accepted: files are open for more important things
	streamsMax     = 16              // on one connection
	headerBytesMax = 16 << 10        // of one stream
	helloTimeout   = 5 * time.Second // for TLS and HTTP/2 to begin
	idleTimeout    = time.Minute     // of a connection without a stream
)

// dial prepares the connection to one address; nothing is sent before a stream is opened. The address is
// resolved anew on every attempt, for a peer may come back elsewhere.
func dial(cfg *Config, id raft.NodeID, address string) (*grpc.ClientConn, error) {
	reconnect := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: pauseMin, Multiplier: 2, Jitter: 0.2, MaxDelay: pauseMax},
		MinConnectTimeout: time.Second,
	}
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(dialSecurity(cfg, id)),
		grpc.WithConnectParams(reconnect),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(messageBytesMax)),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithWriteBufferSize(bufferBytes), grpc.WithReadBufferSize(bufferBytes),
		grpc.WithIdleTimeout(idleNever), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
	)
}

func serverOptions(cfg *Config) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(listenSecurity(cfg)),
		grpc.MaxRecvMsgSize(messageBytesMax), grpc.MaxHeaderListSize(headerBytesMax), grpc.MaxConcurrentStreams(streamsMax),
		grpc.ConnectionTimeout(helloTimeout),
		grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(windowBytes),
		grpc.WriteBufferSize(bufferBytes), grpc.ReadBufferSize(bufferBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, MaxConnectionIdle: cfg.idle}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
}

// introduce adds to an outgoing stream who opens it.
func introduce(ctx context.Context, cfg *Config, to raft.NodeID) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		headerCluster, cfg.Cluster, headerNode, formatNode(cfg.Node), headerTo, formatNode(to),
		headerDisk, hex.EncodeToString(cfg.Disk[:]), headerOrigin, cfg.Origin, headerFounding, digest(cfg.Founding), headerProcess, cfg.process)
}

// diskIn is the data directory that a stream says its other end has; zero for anything that isn't a name of one.
func diskIn(md metadata.MD) (disk [16]byte) {
	b, err := hex.DecodeString(first(md, headerDisk))
	if err != nil || len(b) != len(disk) {
		return disk
	}
	return [16]byte(b)
}

// recognize says who opened an incoming stream, or why it is refused.
func recognize(ctx context.Context, cfg *Config, peers map[raft.NodeID]Peer) (raft.NodeID, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	cluster := first(md, headerCluster)
	from := parseNode(first(md, headerNode))
	to := parseNode(first(md, headerTo))
	peer, known := peers[from]
	switch {
	case cluster != cfg.Cluster:
		return from, refuse("this is cluster %q, not %q: check the address or the name of the cluster", cfg.Cluster, clip(cluster))
	case from == cfg.Node:
		return from, refuse("this is node %d itself: two nodes have the same id", cfg.Node)
	case !known:
		return 0, refuse("node %q is not a peer of node %d: add it to the cluster first", clip(first(md, headerNode)), cfg.Node)
	case peer.Gone:
		return from, expel("node %d was removed from the cluster. why: what it has missed can't be made good under its old name. "+
			"try: add the machine under a new id, with an empty data directory", from)
	case peer.Disk != [16]byte{} && diskIn(md) != peer.Disk:
		return from, otherDisk(from)
	case cfg.Origin != "" && first(md, headerOrigin) != "" && cfg.Origin != first(md, headerOrigin):
		return from, otherOrigin(cfg, from, first(md, headerOrigin))
	case to != cfg.Node:
		return from, refuse("this is node %d, not node %q: check the addresses of the peers", cfg.Node, clip(first(md, headerTo)))
	}
	if err := prove(ctx, cfg, from); err != nil {
		return from, err
	}
	if founding := first(md, headerFounding); founding != "" && cfg.Founding != "" && founding != digest(cfg.Founding) {
		return from, otherFounding(cfg, from)
	}
	return from, nil
}

// digest stands for words that may be too long for a header.
func digest(words string) string {
	if words == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(words))
	return hex.EncodeToString(sum[:16])
}

// otherFounding: nodes of one cluster agree how it began.
func otherFounding(cfg *Config, from raft.NodeID) error {
	return refuse("by node %d's configuration the cluster began otherwise. why: which group has a transfer follows from that, so two nodes could give one id two outcomes. "+
		"try: the same nodes, coordinators, coordinator_nodes and banks in every file; node %d has %s", from, cfg.Node, clipTo(cfg.Founding, 500))
}

// otherOrigin: nodes of one cluster begin with the same data. A restored one knows that the other must not run, and not the other way round.
func otherOrigin(cfg *Config, from raft.NodeID, origin string) error {
	say := refuse
	if cfg.Restored {
		say = expel
	}
	return say("node %d began with %s, and node %d with %s. why: nodes that lack what the others have could outvote them. "+
		"try: stop all nodes, and restore the same backup for each of them before the first one is started", from, clip(origin), cfg.Node, cfg.Origin)
}

// expel is a refusal that nothing can change: the process must not run.
func expel(format string, args ...any) error {
	return status.Errorf(codes.DataLoss, format, args...)
}

func refuse(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func formatNode(id raft.NodeID) string { return strconv.FormatUint(uint64(id), 10) }

// parseNode reads an id; zero, which is nobody, for anything else.
func parseNode(s string) raft.NodeID {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return raft.NodeID(n)
}

// clip keeps a stranger's string short enough for a message.
func clip(s string) string { return clipTo(s, 64) }

func clipTo(s string, longest int) string {
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
