package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/backend"
	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/timerslack"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
)

// drainTimeout is how long requests in flight may take when the server stops.
const drainTimeout = 20 * time.Second

func newServer() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run one node of a cluster",
		Long: `Run one node of a cluster until it is told to stop: SIGTERM or an interrupt lets requests in flight finish, for up to 20
seconds; a second one ends the process at once.

On Linux the program starts itself once more in the same process, so that the kernel may wake its threads 2 ms late (timer slack): on few processors
that saves a tenth to a fifth of what a transfer costs. QUORATE_TIMER_SLACK=system leaves the slack as it is.`,
		Example: `  quorate server --config node1.yaml
  quorate server --config node1.yaml --listen grpc=0.0.0.0:7001 --log-format json
  kill -HUP PID     # read the certificate files again; they are also read when they change`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.ErrOrStderr()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "this node's configuration file")
	flags.StringToStringVar(&o.listen, "listen", nil, "listen elsewhere than the configuration tells the others: peer, grpc or http=host:port")
	flags.BoolVar(&o.insecure, "insecure", false, "plain TCP without credentials, on loopback addresses only; as insecure: true in the configuration")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.profile, "profile", "", "write a CPU and an allocation profile of the server's life into this directory when it stops")
	return cmd
}

// serverOptions are the flags of `quorate server`.
type serverOptions struct {
	config    string
	listen    map[string]string
	insecure  bool
	logFormat string
	logLevel  string
	profile   string
}

// run ends when the context does: a signal that comes while the server is starting is not lost, and SIGHUP ends nothing.
func (o *serverOptions) run(ctx context.Context, stderr io.Writer) error {
	signals := make(chan os.Signal, 2) // the second one matters
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP) // as long as the process lasts: one that comes while it ends must not end it another way
	logger, err := newLogger(stderr, o.logFormat, o.logLevel)
	if err != nil {
		return err
	}
	if o.config == "" {
		return usagef("the flag --config is missing. try: quorate config init, then quorate server --config node1.yaml")
	}
	config, err := loadConfig(o.config)
	if err != nil {
		return err
	}
	config.Insecure = config.Insecure || o.insecure
	log := logger.With("component", "server", "node_id", config.Node)
	fitConnections(&config, filesLimit(), log)
	keys, err := openKeys(&config, o.listen, log)
	if err != nil {
		return err
	}
	doors, err := openDoors(config, o.listen)
	if err != nil {
		return misconfigured(err)
	}
	stopProfile, err := startProfile(o.profile, fmt.Sprintf("node%d", config.Node))
	if err != nil {
		doors.close()
		return err
	}
	err = serve(ctx, config, doors, keys, logger, signals, reload)
	return errors.Join(err, stopProfile())
}

// connectionsMin is what each port for clients takes however few files the process may open.
const connectionsMin = 64

// fitConnections takes fewer connections of clients where the process may open too few files: strangers must not take those that the node needs to go on.
// No files: nobody knows how many it may open.
func fitConnections(config *node.Config, files uint64, log *slog.Logger) {
	want := cmp.Or(config.Limits.Connections, api.ConnectionsDefault)
	needed := node.FilesMax + 2*want
	if files == 0 || files >= uint64(needed) {
		return
	}
	config.Limits.Connections = min(want, max(connectionsMin, (int(files)-node.FilesMax)/2))
	log.Warn("this process may open fewer files than it may need: raise the limit, or each port for clients takes no more connections than said here", "files", files, "needed", needed, "connections", config.Limits.Connections, "configured", want)
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("unknown log level %q. try: --log-level info", level)
	}
	options := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("unknown log format %q. try: --log-format text or --log-format json", format)
}

// doors are a node's three listeners.
type doors struct{ peer, grpc, http net.Listener }

// openDoors binds all ports before anything else is touched: a taken one changes nothing.
func openDoors(config node.Config, elsewhere map[string]string) (d doors, err error) {
	self, err := config.Self()
	if err != nil {
		return doors{}, err
	}
	places := []struct {
		key, address string
		door         *net.Listener
	}{{"peer", self.Peer, &d.peer}, {"grpc", self.GRPC, &d.grpc}, {"http", self.HTTP, &d.http}}
	for key := range elsewhere {
		if key != "peer" && key != "grpc" && key != "http" {
			return doors{}, fmt.Errorf("--listen %s=%s: a node listens for peer, grpc and http only", key, elsewhere[key])
		}
	}
	for _, p := range places {
		if address, ok := elsewhere[p.key]; ok {
			p.address = address
		}
		if *p.door, err = net.Listen("tcp", p.address); err != nil {
			d.close()
			return doors{}, cannotListen(p.key, p.address, err)
		}
	}
	return d, nil
}

func cannotListen(key, address string, err error) error {
	var why *os.SyscallError
	if errors.As(err, &why) {
		err = why.Err
	}
	return fmt.Errorf("can't listen on %s for %s. why: %w. try: stop what uses this port, or name another one under nodes", address, key, err)
}

func (d doors) close() {
	for _, l := range []net.Listener{d.peer, d.grpc, d.http} {
		if l != nil {
			_ = l.Close() // an error here is that of a listener nobody uses any more
		}
	}
}

// serve runs the node until the context ends, which a signal does, or it fails.
func serve(ctx context.Context, config node.Config, d doors, keys *pki.Keys, logger *slog.Logger, signals, reload <-chan os.Signal) error {
	log := logger.With("component", "server", "node_id", config.Node)
	slack, _ := timerslack.Now() // zero where there is none
	log.Info("starting", "version", buildVersion(), "cluster_id", config.Cluster, "data_dir", config.DataDir, "timer_slack", slack,
		"peer", d.peer.Addr().String(), "grpc", d.grpc.Addr().String(), "http", d.http.Addr().String(), "tls", keys != nil)
	for _, w := range expiring(keys, time.Now()) {
		log.Warn("certificate ends soon", "detail", w)
	}
	for _, w := range unnamed(&config, keys) {
		log.Warn("certificate lacks a name", "detail", w)
	}
	n, err := node.Start(config, node.Options{Listener: d.peer, Logger: logger, Keys: keys})
	if err != nil {
		d.close()
		return startFailed(err)
	}
	server, err := serveAPI(n, d.grpc, d.http, keys, logger)
	if err != nil {
		d.close()
		return errors.Join(err, n.Stop())
	}
	log.Info("ready")
	stopped := make(chan struct{})
	defer close(stopped)
	go paceGarbage(stopped) // ends by stopped
	for {
		select {
		case <-reload:
			if keys != nil {
				_, _ = keys.Reload() // and says so in the log
			}
		case <-ctx.Done():
			log.Info("stopping", "cause", context.Cause(ctx))
			takeFirst(signals)
			return stopServing(n, server, log, signals)
		case <-n.Failed():
			if errors.Is(n.Err(), node.ErrRemoved) {
				return stopServing(n, server, log, signals)
			}
			return nodeFailed(n.Err()) // its memory or disk can't be trusted: nothing is put in order any more
		}
	}
}

// startFailed marks what the operator has to put right before any start can succeed.
func startFailed(err error) error {
	if refusedDirectory(err) != nil {
		return misconfigured(err)
	}
	return fmt.Errorf("can't start: %w", err)
}

// nodeFailed keeps apart what can't be: a broken invariant, peers that contradict each other, damage. All else that ends a node is its machine's.
func nodeFailed(err error) error {
	var broken invariant.Broken
	switch {
	case errors.As(err, &broken):
		return fmt.Errorf("the node has failed: %w", broken)
	case errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrOutdated):
		return fmt.Errorf("the node has failed: %w", err)
	case errors.Is(err, raft.ErrUnsafe):
		return fmt.Errorf("the node has failed: %w", invariant.Broken{Message: err.Error()})
	}
	return fmt.Errorf("the node has failed: %v", err)
}

// takeFirst takes the signal that has ended the context. If it came before anybody listened here, there is none to take.
func takeFirst(signals <-chan os.Signal) {
	select {
	case <-signals:
	case <-time.After(100 * time.Millisecond):
	}
}

// stopServing lets requests finish, then ends the node. A second signal ends the process.
func stopServing(n *node.Node, server *api.Server, log *slog.Logger, signals <-chan os.Signal) error {
	done := make(chan struct{})
	defer close(done)
	go func() { // ended by done
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		log.Warn("requests were cut off", "err", err)
	}
	if err := n.Stop(); err != nil {
		return fmt.Errorf("stop the node: %w", err)
	}
	if err := n.Err(); err != nil && !errors.Is(err, node.ErrRemoved) {
		return nodeFailed(err)
	}
	log.Info("stopped")
	return nil
}

// serveAPI opens both faces of a node. It owns the listeners, unless it fails.
func serveAPI(n *node.Node, grpcDoor, httpDoor net.Listener, keys *pki.Keys, logger *slog.Logger) (*api.Server, error) {
	m := newMeters(n, keys)
	return api.Serve(api.Config{
		Metrics: m.faces, Handlers: map[string]http.Handler{"GET /metrics": m.handler()},
		GRPC: grpcDoor, HTTP: httpDoor, Keys: keys, Version: buildVersion(), Reflection: true, Log: logger, Timeouts: timeoutsOf(n.Config()),
		RequestsPerSecond: n.Config().Limits.RequestsPerSecond, ConnectionsMax: n.Config().Limits.Connections,
		Admin:   &nodeAdmin{n},
		OnPanic: func(recovered any, stack []byte) { dieOf(logger, recovered, stack) },
	}, backend.New(n, buildVersion()))
}

// dieOf ends the process after a panic: it may have left anything behind.
func dieOf(logger *slog.Logger, recovered any, stack []byte) {
	logger.Error("a request handler panicked", "err", recovered, "stack", string(stack))
	if _, broken := recovered.(invariant.Broken); broken {
		os.Exit(api.ExitBroken)
	}
	os.Exit(exitFailed)
}

// startAPI opens both faces of a node where its configuration says.
func startAPI(n *node.Node, logger *slog.Logger) (*api.Server, error) {
	config := n.Config()
	self, err := config.Self()
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	var d doors
	if d.grpc, err = net.Listen("tcp", self.GRPC); err != nil {
		return nil, cannotListen("grpc", self.GRPC, err)
	}
	if d.http, err = net.Listen("tcp", self.HTTP); err != nil {
		d.close()
		return nil, cannotListen("http", self.HTTP, err)
	}
	server, err := serveAPI(n, d.grpc, d.http, nil, logger)
	if err != nil {
		d.close()
		return nil, err
	}
	return server, nil
}
