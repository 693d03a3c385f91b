package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/quorate/quorate/pki"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// ConnectionsDefault is how many connections each face takes at once if nothing else is said.
const ConnectionsDefault = 4096

// Bounds of what comes in. A batch of BatchMax ordinary transfers has about 2 MiB.
const (
	messageBytesMax     = 4 << 20  // of gRPC, decompressed
	legsMax             = 1 << 18  // of all transfers in one message: more than real ones fit into it
	answerBytesMax      = 16 << 20 // what one batch may be answered with
	bodyBytesMax        = 256 << 10
	headerBytesMax      = 16 << 10
	headerTimeout       = 5 * time.Second
	bodyTimeout         = 10 * time.Second
	idleTimeout         = 2 * time.Minute
	streamsMax          = 4096 // requests at once on one gRPC connection
	windowBytes         = 64 << 10
	connWindowBytes     = 4 << 20
	readersMax          = 16              // messages of one sender that are read at once
	waitingMax          = 1024            // and that wait for it, with a window each
	transferStreamsMax  = 128             // of one sender
	strangerReadersMax  = 1               // messages of one connection that are read at once, where nobody has said who they are and has to
	strangerWaitingMax  = 16              // and that wait for it
	strangerBytesMax    = 1 << 10         // of such a message: health is all that they may ask for
	healthStreamsMax    = 4               // of one sender
	healthStreamsAll    = 256             // of all of them
	answerTimeout       = time.Minute     // a client that takes nothing of an answer for so long is cut off
	owedBytesMax        = 128 << 20       // of answers that wait on one gRPC connection until its client takes them
	hangUpAfter         = 2 * time.Second // an answer that says why, also of watches
	keepaliveTime       = 30 * time.Second
	keepaliveTimeout    = 10 * time.Second
	keepaliveMinTime    = 5 * time.Second
	keepaliveWithoutUse = true
)

// Config is what a Server is built from.
type Config struct {
	GRPC net.Listener // already bound; nil: no gRPC. The Server closes it
	HTTP net.Listener // likewise

	// Keys secure both faces, and then every caller has to say who it is. Nil: plain TCP, and whoever reaches the ports may do everything.
	Keys *pki.Keys

	Version    string // of the program, for the OpenAPI document
	Reflection bool   // let gRPC clients ask for the services

	// Timeouts bound how long a transfer may take. A zero field: that of DefaultTimeouts.
	Timeouts Timeouts

	// Admin answers operators over gRPC; nil: nobody does.
	Admin Admin

	// Handlers adds paths to the HTTP face, by pattern of http.ServeMux: "GET /metrics".
	Handlers map[string]http.Handler

	// Log hears of faults of ours. Nil: slog.Default.
	Log *slog.Logger

	// RequestsPerSecond is how often each caller may ask; a transfer in a batch counts as a request. Zero: as often as it likes.
	RequestsPerSecond int
	// ConnectionsMax is how many connections each face takes at once; more of them wait to be accepted. Zero: ConnectionsDefault.
	ConnectionsMax int
	// Metrics counts requests and transfers. Nil: nobody reads the counts.
	Metrics *Metrics

	// OnPanic decides about a panic of a handler: it stops the process, or returns and the request fails with
	// "internal". Nil: every panic stops the process.
	OnPanic func(recovered any, stack []byte)

	// Of tests: bodyTimeout, answerTimeout, and owedBytesMax.
	readWithin, takeWithin time.Duration
	owedMax                int
}

// Server is both faces of a node.
type Server struct {
	guard  *guard
	door   *door
	doctor *doctor
	grpc   *grpc.Server // nil if there is no such face
	http   *http.Server // likewise
	web    *web
	done   sync.WaitGroup // the accept loops and the doctor

	draining context.Context // ends when Stop begins
	drain    context.CancelFunc
}

// Serve answers on the given listeners until Stop. On error they stay open.
func Serve(cfg Config, backend Backend) (*Server, error) {
	if backend == nil {
		return nil, errors.New("api: no backend")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	s := &Server{
		guard:  &guard{log: cfg.Log, onPanic: cfg.OnPanic},
		door:   newDoor(&cfg, backend),
		doctor: newDoctor(backend),
	}
	if cfg.ConnectionsMax <= 0 {
		cfg.ConnectionsMax = ConnectionsDefault
	}
	if cfg.owedMax <= 0 {
		cfg.owedMax = owedBytesMax
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	d := &desk{
		backend: backend, timeouts: cfg.Timeouts.filled(), door: s.door, count: cfg.Metrics, draining: s.draining,
	}
	if cfg.HTTP != nil {
		if err := s.openHTTP(&cfg, d); err != nil {
			return nil, err
		}
	}
	if cfg.GRPC != nil {
		s.openGRPC(&cfg, d)
	}
	s.doctor.refresh(s.draining) // before anybody can ask
	s.done.Go(func() { s.doctor.run(s.draining) })
	if s.http != nil {
		s.done.Go(func() { _ = s.serveHTTP(netutil.LimitListener(cfg.HTTP, cfg.ConnectionsMax)) }) // ends by Stop, and says so
	}
	if s.grpc != nil {
		s.done.Go(func() { _ = s.grpc.Serve(callers{netutil.LimitListener(cfg.GRPC, cfg.ConnectionsMax), cfg.owedMax}) }) // likewise
	}
	return s, nil
}

func (s *Server) openGRPC(cfg *Config, d *desk) {
	in := newIntake(s.door, cfg)
	s.grpc = grpc.NewServer(
		grpc.Creds(grpcSecurity(cfg.Keys)),
		grpc.InTapHandle(in.header), grpc.ForceServerCodecV2(newCodec()), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return unknownMethod(s) }),
		grpc.ChainUnaryInterceptor(s.guard.unary, s.door.unary), grpc.ChainStreamInterceptor(in.stream, s.stream, s.guard.stream, s.door.stream),
		grpc.MaxRecvMsgSize(messageBytesMax), grpc.MaxSendMsgSize(answerBytesMax),
		grpc.MaxConcurrentStreams(streamsMax),
		grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(connWindowBytes),
		grpc.MaxHeaderListSize(headerBytesMax),
		grpc.ConnectionTimeout(headerTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, MaxConnectionIdle: idleTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime, PermitWithoutStream: keepaliveWithoutUse}),
		grpc.WaitForHandlers(true),
	)
	offered := registrar{s.grpc, in}
	s.register(offered, cfg, d)
	healthv1.RegisterHealthServer(offered, healthService{s.doctor.grpc})
	if cfg.Reflection {
		reflection.Register(s.grpc)
	}
}

// register offers the services of ours.
func (s *Server) register(r grpc.ServiceRegistrar, cfg *Config, d *desk) {
	r.RegisterService(transferServiceDesc(), &transferService{desk: d, guard: s.guard, door: s.door, draining: s.draining})
	quoratev1.RegisterAccountServiceServer(r, &accountService{desk: d})
	quoratev1.RegisterStatusServiceServer(r, &statusService{desk: d})
	if cfg.Admin != nil {
		adminv1.RegisterBackupServiceServer(r, &backupService{admin: cfg.Admin})
		adminv1.RegisterVerifyServiceServer(r, &verifyService{verifier: cfg.Admin})
	}
	adminv1.RegisterClusterServiceServer(r, &clusterService{desk: d})
	adminv1.RegisterTokenServiceServer(r, &tokenService{desk: d})
}

func (s *Server) openHTTP(cfg *Config, d *desk) error {
	s.web = newWeb(d, s.guard, s.door, s.doctor)
	s.web.readWithin, s.web.takeWithin = or(cfg.readWithin, bodyTimeout), or(cfg.takeWithin, answerTimeout)
	handler, err := s.web.routes(cfg)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	s.http = &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return s.web.life },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	if cfg.Keys != nil {
		s.http.TLSConfig = cfg.Keys.Server("h2", "http/1.1")
	}
	return nil
}

func (s *Server) serveHTTP(l net.Listener) error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(l, "", "")
	}
	return s.http.Serve(l)
}

func grpcSecurity(keys *pki.Keys) credentials.TransportCredentials {
	if keys == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(keys.Server("h2"))
}

// Stop first says that the node isn't ready, lets requests finish until ctx ends, and then cuts them off. It returns
// when no handler runs any more; the error is that of ctx if some had to be cut off. It may be called once.
func (s *Server) Stop(ctx context.Context) error {
	s.doctor.drain()
	s.drain()
	var faces sync.WaitGroup
	var errGRPC, errHTTP error
	if s.grpc != nil {
		faces.Go(func() { errGRPC = s.stopGRPC(ctx) })
	}
	if s.http != nil {
		faces.Go(func() { errHTTP = s.stopHTTP(ctx) })
	}
	faces.Wait()
	s.done.Wait()
	return errors.Join(errGRPC, errHTTP)
}

func (s *Server) stopGRPC(ctx context.Context) error {
	finished := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(finished) }() // waited for below
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		s.grpc.Stop() // ends GracefulStop, too
		<-finished
		return ctx.Err()
	}
}

func (s *Server) stopHTTP(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // its error would say less than ctx's
	}
	return errors.Join(err, s.web.finish(ctx))
}
