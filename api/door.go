package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/transfer"
)

// door stands before every operation of both faces: it finds out who asks, whether they may, and whether they ask too often.
type door struct {
	open   bool // nobody has to say who they are
	keys   *pki.Keys
	tokens Tokens
	pace   *pace
	log    *slog.Logger
	count  *Metrics
}

func newDoor(cfg *Config, tokens Tokens) *door {
	return &door{open: cfg.Keys == nil, keys: cfg.Keys, tokens: tokens, pace: newPace(cfg.RequestsPerSecond), log: cfg.Log, count: cfg.Metrics}
}

// unary is the door of gRPC's plain methods.
func (d *door) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	operation, began := operationOf(info.FullMethod), time.Now()
	named, _ := r.(interface{ GetBank() string })
	bank := ""
	if named != nil {
		bank = named.GetBank()
	}
	ctx, err := d.enterGRPC(ctx, operation, bank)
	if err != nil {
		d.note(ctx, operation, subjectOf(r), err)
		d.count.answered(operation, began, err)
		return nil, err
	}
	answer, err := handle(ctx, r)
	d.note(ctx, operation, subjectOf(r), err)
	d.count.answered(operation, began, err)
	return answer, err
}

// stream is the door of gRPC's streams.
func (d *door) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	operation, began := operationOf(info.FullMethod), time.Now()
	ctx, err := d.enterGRPC(s.Context(), operation, "")
	if err != nil {
		d.note(ctx, operation, "", err)
		d.count.answered(operation, began, err)
		return err
	}
	heard := &heardStream{endingStream: endingStream{s, ctx}, listen: grants[operation].audit}
	err = handle(srv, heard)
	d.note(ctx, operation, heard.subject, err)
	counted := err
	if ctx.Err() != nil && isEnd(err) { // who asked has hung up, as streams without an end are ended
		counted = nil
	}
	d.count.answered(operation, began, counted)
	return err
}

// isEnd says that an error is that of a context that has ended, ours or in gRPC's words.
func isEnd(err error) bool {
	code := status.Code(err)
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || isStatus(err) && (code == codes.Canceled || code == codes.DeadlineExceeded)
}

// heardStream is one whose request is remembered for the audit log.
type heardStream struct {
	endingStream
	listen  bool
	subject string // belongs to the handler's goroutine
}

func (s *heardStream) RecvMsg(m any) error {
	err := s.endingStream.RecvMsg(m)
	if s.listen && err == nil {
		s.subject = subjectOf(m)
	}
	return err
}

func (d *door) enterGRPC(ctx context.Context, operation, bank string) (context.Context, error) {
	if grants[operation].reach == everyone {
		return ctx, nil
	}
	caller, err := d.identifyPeer(ctx, metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		return ctx, d.refuse(err)
	}
	if caller != nil {
		ctx = withCaller(ctx, caller)
		if err := caller.may(operation, bank); err != nil {
			return ctx, d.refuse(err)
		}
	}
	return ctx, d.refuse(d.pace.admit(time.Now(), caller))
}

// identifyPeer says who is at the other end of a connection of gRPC.
func (d *door) identifyPeer(ctx context.Context, authorization []string) (*Caller, error) {
	var state *tls.ConnectionState
	if p, ok := peer.FromContext(ctx); ok {
		if secure, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			state = &secure.State
		}
	}
	caller, err := d.identify(credential{state, authorization})
	if isOutdated(err) {
		farEndOf(ctx).hangUpSoon()
	}
	return caller, err
}

// enterHTTP finds out who sends a request, before its body is read.
func (d *door) enterHTTP(r *http.Request) (context.Context, error) {
	if grants[r.URL.Path].reach == everyone {
		return r.Context(), nil
	}
	caller, err := d.identify(credential{r.TLS, r.Header.Values("Authorization")})
	if err != nil {
		return r.Context(), d.refuse(err)
	}
	ctx := r.Context()
	if caller != nil {
		ctx = withCaller(ctx, caller)
	}
	return ctx, d.refuse(d.pace.admit(time.Now(), caller))
}

// may is the second half of enterHTTP, when the operation is known.
func (d *door) may(ctx context.Context, operation, bank string) error {
	if d.open {
		return nil
	}
	caller := callerOf(ctx)
	if caller == nil {
		caller = &Caller{}
	}
	return d.refuse(caller.may(operation, bank))
}

func (d *door) refuse(err error) error {
	if err != nil {
		d.count.turnedAway(classify(err).Code)
	}
	return err
}

// identify says who asks: who shows a token, or else a certificate's holder. Nil without an error: nobody has to say it.
func (d *door) identify(shown credential) (caller *Caller, err error) {
	switch {
	case d.open:
		return nil, nil
	case len(shown.authorization) > 0:
		caller, err = callerOfToken(d.tokens, shown.authorization)
	case shown.state == nil || len(shown.state.VerifiedChains) == 0:
		err = fmt.Errorf("%w: there is no client certificate and no token", transfer.ErrUnauthenticated)
	default:
		caller, err = callerOfCertificate(d.keys, shown.state.PeerCertificates)
	}
	if err != nil {
		return nil, err
	}
	caller.shown = shown
	return caller, nil
}

// again lets a caller go on with what it was let in for, and doesn't count it: a token may have been revoked meanwhile, a certificate may have ended.
func (d *door) again(ctx context.Context, operation, bank string) (context.Context, error) {
	before := callerOf(ctx)
	if before == nil {
		return ctx, nil
	}
	caller, err := d.identify(before.shown)
	if err == nil {
		err = caller.may(operation, bank)
	}
	if err != nil {
		return ctx, d.refuse(err)
	}
	return withCaller(ctx, caller), nil
}

// callerOfCertificate reads what the first of a connection's certificates grants. The connection may be older than its end, or than the authority in force.
func callerOfCertificate(keys *pki.Keys, chain []*x509.Certificate) (*Caller, error) {
	cert := chain[0]
	id, err := pki.IdentityOf(cert)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", transfer.ErrUnauthenticated, err)
	}
	if id.Node != 0 {
		return nil, fmt.Errorf("%w: the certificate is node %d's, and only clients may ask", transfer.ErrUnauthenticated, id.Node)
	}
	if time.Now().After(cert.NotAfter) {
		return nil, &outdated{fmt.Errorf("%w: the certificate of %q has ended at %s", transfer.ErrUnauthenticated, id.Client, cert.NotAfter.UTC().Format(time.RFC3339))}
	}
	if err := keys.StillTrusts(chain); err != nil {
		return nil, &outdated{fmt.Errorf("%w: the certificate of %q: %w", transfer.ErrUnauthenticated, id.Client, err)}
	}
	roles, err := ParseRoles(id.Roles)
	if err != nil {
		return nil, fmt.Errorf("%w: the certificate of %q: %w", transfer.ErrUnauthenticated, id.Client, err)
	}
	return &Caller{Name: id.Client, How: "certificate", Roles: roles, Banks: id.Banks}, nil
}

// outdated says that a connection is older than what became of its certificate. It is closed: its client may have a new one by now, and shows that with the
// next connection.
type outdated struct{ error }

func (e *outdated) Unwrap() error { return e.error }

func isOutdated(err error) bool {
	var e *outdated
	return errors.As(err, &e)
}

// note writes the line of an administrative act: who asked for what, and what came of it.
func (d *door) note(ctx context.Context, operation, subject string, err error) {
	if !grants[operation].audit {
		return
	}
	who, how, outcome := "anybody", "insecure", "done"
	if c := callerOf(ctx); c != nil {
		who, how = c.Name, c.How
	}
	if err != nil {
		code, _ := Judge(err)
		outcome = string(code)
	}
	d.log.InfoContext(ctx, "audit", "component", "api", "who", who, "how", how, "op", operation, "on", subject, "outcome", outcome, "request_id", requestID(ctx))
}

// subjectOf is what a request of gRPC is about, for the audit log.
func subjectOf(r any) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+clip(value))
		}
	}
	if m, ok := r.(interface{ GetBank() string }); ok {
		add("bank", m.GetBank())
	}
	if m, ok := r.(interface{ GetAccount() string }); ok {
		add("account", m.GetAccount())
	}
	if m, ok := r.(interface{ GetGroup() string }); ok {
		add("group", m.GetGroup())
	}
	if m, ok := r.(interface{ GetId() string }); ok {
		add("id", m.GetId())
	}
	if m, ok := r.(interface{ GetName() string }); ok {
		add("name", m.GetName())
	}
	if m, ok := r.(interface{ GetNode() uint64 }); ok {
		add("node", fmt.Sprint(m.GetNode()))
	}
	return strings.Join(parts, " ")
}

// pace is how often each caller may ask.
type pace struct {
	each rate.Limit // zero: as often as it likes

	mu     sync.Mutex // guards callers
	byName map[string]*rate.Limiter
}

// callersMax bounds the callers that are remembered. Who comes when there are as many makes all be forgotten.
const callersMax = 10_000

func newPace(perSecond int) *pace {
	return &pace{each: rate.Limit(perSecond), byName: map[string]*rate.Limiter{}}
}

// admit counts one request of a caller; the error says how long to wait.
func (p *pace) admit(now time.Time, c *Caller) error { return p.count(now, c, 1, 0) }

// admitRest counts the others of n transfers in one request, which itself was admitted as the first; n is a second's worth at most. Who has to wait
// will need that first one again.
func (p *pace) admitRest(now time.Time, c *Caller, n int) error { return p.count(now, c, n, 1) }

func (p *pace) count(now time.Time, c *Caller, n, before int) error {
	if p.each == 0 {
		return nil
	}
	limiter := p.of(c)
	r := limiter.ReserveN(now, min(n, limiter.Burst())-before)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return &tooOften{wait + time.Duration(before)*time.Second/time.Duration(p.each), int(p.each)}
	}
	return nil
}

func (p *pace) of(c *Caller) *rate.Limiter {
	name := ""
	if c != nil {
		name = c.How + " " + c.Name
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter, known := p.byName[name]
	if !known {
		if len(p.byName) >= callersMax {
			clear(p.byName)
		}
		limiter = rate.NewLimiter(p.each, max(1, int(p.each)))
		p.byName[name] = limiter
	}
	return limiter
}

// tooOften is ErrRateLimited with the time after which it will work.
type tooOften struct {
	wait time.Duration
	each int
}

func (e *tooOften) Error() string {
	return fmt.Sprintf("%v: %d a second; the next one in %v", transfer.ErrRateLimited, e.each, e.wait.Round(time.Millisecond))
}

func (e *tooOften) Unwrap() error { return transfer.ErrRateLimited }

// waitIn is how long an error says to wait; zero if it doesn't.
func waitIn(err error) time.Duration {
	var e *tooOften
	if errors.As(err, &e) {
		return e.wait
	}
	return 0
}
