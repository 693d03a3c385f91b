package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/uuid/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

const (
	messageBytesMax  = 16 << 20 // what a node sends
	windowBytes      = 4 << 20
	keepaliveTime    = 10 * time.Second // the shortest that gRPC allows
	keepaliveTimeout = 2 * time.Second
	reconnectMin     = 20 * time.Millisecond
	reconnectMax     = 500 * time.Millisecond
	connectTimeout   = time.Second
)

// Client is a connection to a cluster. Any node answers for all of them, so it talks to one as long as that one answers. It
// may be used by any number of goroutines.
type Client struct {
	nodes    []*node
	current  atomic.Uint32 // index of the node to ask first
	observer Observer
	proofs   *proofs // of certificates; nil: not of a client that WithTLS, or Credentials, secure

	life    context.Context // ends with Close
	die     context.CancelFunc
	mu      sync.Mutex     // guards the start of streams against Close
	streams sync.WaitGroup // Close waits for them
}

type node struct {
	address   string
	failedAt  atomic.Int64 // when it was left for another one, in nanoseconds of Unix time
	heardAt   atomic.Int64 // when it last answered anything, likewise
	mu        sync.Mutex   // guards flowing
	flowing   *stream      // nil: the next Transfer opens one
	conn      *grpc.ClientConn
	transfers quoratev1.TransferServiceClient
	accounts  quoratev1.AccountServiceClient
	status    quoratev1.StatusServiceClient
	cluster   adminv1.ClusterServiceClient
	tokens    adminv1.TokenServiceClient
	health    healthv1.HealthClient
}

type settings struct {
	credentials credentials.TransportCredentials
	token       credentials.PerRPCCredentials // nil: none
	err         error                         // of an option
	observer    Observer
}

// Option changes how Dial connects.
type Option func(*settings)

// WithCredentials secures the connections. Without it, or WithTLS, they are plain TCP, which a cluster takes on loopback only.
func WithCredentials(c credentials.TransportCredentials) Option {
	return func(s *settings) { s.credentials = c }
}

// Dial prepares connections to the gRPC addresses (host:port) of a cluster's nodes; one is enough, all are better. It doesn't wait
// for any of them. Close the client when done.
func Dial(addresses []string, options ...Option) (*Client, error) {
	if len(addresses) == 0 {
		return nil, errors.New("client: no address")
	}
	s := settings{credentials: insecure.NewCredentials()}
	for _, change := range options {
		change(&s)
	}
	if s.err != nil {
		return nil, fmt.Errorf("client: %w", s.err)
	}
	c := &Client{observer: s.observer}
	if secure, ours := s.credentials.(*attentive); ours {
		c.proofs = secure.proofs
	}
	c.life, c.die = context.WithCancel(context.Background())
	for _, address := range addresses {
		n, err := dial(address, &s)
		if err != nil {
			_ = c.Close() // of connections that were never used
			return nil, fmt.Errorf("client: %s: %w", address, err)
		}
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

func dial(address string, s *settings) (*node, error) {
	secure := []grpc.DialOption{grpc.WithTransportCredentials(s.credentials)}
	if s.token != nil {
		secure = append(secure, grpc.WithPerRPCCredentials(s.token))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, append(secure, // resolved anew at every attempt
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: reconnectMin, Multiplier: 2, Jitter: 0.2, MaxDelay: reconnectMax},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax), grpc.MaxCallSendMsgSize(messageBytesMax)),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), // retry.go knows more
	)...)
	if err != nil {
		return nil, err
	}
	return &node{
		address: address, conn: conn,
		transfers: quoratev1.NewTransferServiceClient(conn),
		accounts:  quoratev1.NewAccountServiceClient(conn),
		status:    quoratev1.NewStatusServiceClient(conn),
		cluster:   adminv1.NewClusterServiceClient(conn),
		tokens:    adminv1.NewTokenServiceClient(conn),
		health:    healthv1.NewHealthClient(conn),
	}, nil
}

// Close ends the connections; calls that are under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	c.die()
	c.mu.Unlock()
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.conn.Close())
	}
	c.streams.Wait()
	return errors.Join(errs...)
}

// start runs something that ends with the client's life; false if that is over.
func (c *Client) start(run func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.streams.Go(func() { run(c.life) })
	return true
}

// NewID makes an id for a new transfer: a UUIDv7, so that ids sort by the time they were made.
func NewID() transfer.ID {
	return transfer.ID(uuid.Must(uuid.NewV7()))
}

// Transfer submits a transfer and waits for its outcome, trying again until ctx ends. A zero id is replaced
// by a new one, a zero Deadline by the server's 10 seconds. Without an outcome the error is, or wraps, a
// *transfer.Error that says that nothing was changed, or an *OutcomeUnknownError.
//
// It is made for thousands of goroutines at once: what they submit while a message is being sent travels together in the next one, over one stream
// per node, and each hears of its own transfer as soon as that has an outcome.
func (c *Client) Transfer(ctx context.Context, t transfer.Transfer) (transfer.Record, error) {
	var result Result
	s := &submission{transfer: t, result: &result}
	if !s.prepare() {
		return result.Record, result.Err
	}
	ctx, end := c.observe(ctx, result.ID)
	a := c.attempts()
	for {
		s.reckon(time.Now())
		f := c.submitByStream(ctx, a, s)
		if !s.settle(f) {
			break
		}
		if !a.next(ctx, f.another, f.after) {
			s.giveUp(ended(ctx, result.Err))
			break
		}
	}
	end(Observation{Attempts: a.made, State: result.Record.State, Err: result.Err})
	return result.Record, result.Err
}

// Cancel has a transfer aborted unless it is too late, and says what became of it: look at the record. An id that nobody knows is
// closed for ever, so that a submission of it that was lost, or is still on its way, never takes effect. It tries
// again until ctx ends; without an outcome the error is, or wraps, an *OutcomeUnknownError or a *transfer.Error that says that
// nothing was changed.
func (c *Client) Cancel(ctx context.Context, id transfer.ID) (transfer.Record, error) {
	return c.end(ctx, id, func(ctx context.Context, n *node, options ...grpc.CallOption) (*quoratev1.Transfer, error) {
		answer, err := n.transfers.CancelTransfer(ctx, &quoratev1.CancelTransferRequest{Id: id.String()}, options...)
		return answer.GetTransfer(), err
	})
}

// end asks until somebody says what became of a transfer.
func (c *Client) end(ctx context.Context, id transfer.ID, call func(context.Context, *node, ...grpc.CallOption) (*quoratev1.Transfer, error)) (transfer.Record, error) {
	var record transfer.Record
	happen, err := c.repeat(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := call(ctx, n, options...)
		if err != nil {
			return err
		}
		record, err = recordOf(answer)
		return err
	})
	if err != nil && happen {
		return record, &OutcomeUnknownError{ID: id, Err: err}
	}
	return record, err
}

// GetOption changes how Get reads.
type GetOption func(*getSettings)

type getSettings struct {
	consistency quoratev1.Consistency
}

// Stale has Get take what the asked node has applied, however old that is: "pending" or transfer.ErrTransferNotFound may no longer be so. What
// is decided stays decided. It needs no leader.
func Stale() GetOption {
	return func(s *getSettings) { s.consistency = quoratev1.Consistency_CONSISTENCY_STALE }
}

// Get says what is known of a transfer, linearizably unless it is to be stale; transfer.ErrTransferNotFound.
func (c *Client) Get(ctx context.Context, id transfer.ID, options ...GetOption) (transfer.Record, error) {
	var s getSettings
	for _, change := range options {
		change(&s)
	}
	request := &quoratev1.GetTransferRequest{Id: id.String(), Consistency: s.consistency}
	var record transfer.Record
	err := c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.transfers.GetTransfer(ctx, request, options...)
		if err != nil {
			return err
		}
		record, err = recordOf(answer.GetTransfer())
		return err
	})
	return record, err
}
