package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that plain is
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// intake stands between gRPC and the door: it bounds what one sender has under way to this server and isn't a request yet. gRPC would take up
// to messageBytesMax of every request at once on every connection, and wait for the rest for ever.
type intake struct {
	door *door

	readWithin, takeWithin time.Duration // a message, an answer

	mu      sync.Mutex // guards what follows
	senders map[any]*sender
	health  int // streams of health
}

// sender is a caller, or a connection of whom nothing is known.
type sender struct {
	key                      any
	waiting, streams, health int // under intake.mu
	turns                    chan struct{}
}

func newIntake(d *door, cfg *Config) *intake {
	return &intake{door: d, senders: map[any]*sender{}, readWithin: or(cfg.readWithin, bodyTimeout), takeWithin: or(cfg.takeWithin, answerTimeout)}
}

// or is a duration, or what stands for none.
func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// cutOffKey is where the context of a request keeps what ends it.
type cutOffKey struct{}

// header looks at a request before anything of its message is read: gRPC calls its interceptors only then. It may not block.
func (in *intake) header(ctx context.Context, info *tap.Info) (context.Context, error) {
	began, operation := time.Now(), operationOf(info.FullMethodName)
	err := checkContentType(info.Header.Get("content-type"))
	if err == nil && grants[operation].reach != everyone {
		var caller *Caller
		caller, err = in.door.identifyPeer(ctx, info.Header.Get("authorization"))
		if err = in.door.refuse(err); caller != nil {
			ctx = withCaller(ctx, caller)
		}
	}
	if err != nil {
		id := chooseRequestID(first(info.Header.Get(requestIDMetadata)))
		in.door.note(withRequestID(ctx, id), operation, "", err)
		in.door.count.answered(operation, began, err)
		return ctx, statusOf(err, id)
	}
	ctx, cutOff := context.WithCancel(ctx) // its parent ends with the request
	return context.WithValue(ctx, cutOffKey{}, cutOff), nil
}

func checkContentType(values []string) error {
	kind, _, _ := strings.Cut(strings.ToLower(first(values)), ";")
	if kind != "application/grpc" && kind != "application/grpc+proto" {
		return fmt.Errorf("%w: the content type %q is not application/grpc", transfer.ErrInvalidRequest, clip(kind))
	}
	return nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// cutOffLater ends a request unless its message has come in time.
func cutOffLater(ctx context.Context, after time.Duration) *time.Timer {
	cutOff, _ := ctx.Value(cutOffKey{}).(context.CancelFunc)
	if cutOff == nil { // no gRPC stands before it: a test
		cutOff = func() {}
	}
	return time.AfterFunc(after, cutOff)
}

// callers is a listener whose connections can be found again by the address that gRPC tells of a request.
type callers struct {
	net.Listener
	owedMax int
}

// Accept waits for the next connection.
func (l callers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &callersConn{conn, &farEnd{Addr: conn.RemoteAddr(), conn: conn, owedMax: l.owedMax}}, nil
}

type callersConn struct {
	net.Conn
	far *farEnd
}

func (c *callersConn) RemoteAddr() net.Addr { return c.far }

func (c *callersConn) Write(b []byte) (int, error) {
	c.far.owe(-len(b))
	return c.Conn.Write(b)
}

// farEnd is the address of a connection's other end, and how much of what it asked for it hasn't taken: gRPC keeps every answer until there is a window for
// it, for as long as the connection lives.
type farEnd struct {
	net.Addr
	conn    net.Conn
	owedMax int
	leaving sync.Once

	mu   sync.Mutex // guards owed
	owed int        // bytes, about
}

func farEndOf(ctx context.Context) *farEnd {
	if p, ok := peer.FromContext(ctx); ok {
		if far, ok := p.Addr.(*farEnd); ok {
			return far
		}
	}
	return &farEnd{} // a test without a connection
}

// owe counts what is answered, or, below zero, what was sent, and hangs up when too much waits.
func (f *farEnd) owe(bytes int) {
	f.mu.Lock()
	f.owed = max(0, f.owed+bytes)
	over := f.owed > f.owedMax
	f.mu.Unlock()
	if over {
		f.hangUp()
	}
}

func (f *farEnd) hangUp() {
	if f.conn != nil {
		_ = f.conn.Close() // it may be closed already
	}
}

// hangUpSoon leaves time for an answer that says why.
func (f *farEnd) hangUpSoon() { f.leaving.Do(func() { time.AfterFunc(hangUpAfter, f.hangUp) }) }

func (f *farEnd) answer(m any) {
	if m, ok := m.(proto.Message); ok {
		f.owe(proto.Size(m))
	}
}

// stranger says that who sends this hasn't said who they are, and has to: for anything but health.
func (in *intake) stranger(ctx context.Context) bool { return !in.door.open && callerOf(ctx) == nil }

// receive reads one message in time, and at most readersMax of a sender at once: those that wait for their turn have sent no more than a window.
func (in *intake) receive(ctx context.Context, m any, from func(any) error) error {
	s, err := in.enter(ctx)
	if err != nil {
		return err
	}
	defer in.leave(s)
	late := cutOffLater(ctx, in.readWithin)
	defer late.Stop()
	select {
	case s.turns <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: the message was not read within %v", transfer.ErrBusy, in.readWithin)
	}
	defer func() { <-s.turns }()
	e := &envelope{message: m}
	if in.stranger(ctx) {
		e.bytesMax = strangerBytesMax
		if s, can := grpc.ServerTransportStreamFromContext(ctx).(lengthFirst); can {
			from = func(any) error { return e.fillMeasured(s) }
		}
	}
	return e.fill(from)
}

func (in *intake) enter(ctx context.Context) (*sender, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	most := waitingMax
	if in.stranger(ctx) {
		most = strangerWaitingMax
	}
	s := in.of(ctx)
	if s.waiting >= most {
		return nil, fmt.Errorf("%w: %d messages of this sender are being read", transfer.ErrBusy, s.waiting)
	}
	s.waiting++
	return s, nil
}

func (in *intake) leave(s *sender) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s.waiting--
	in.forget(s)
}

// open counts a stream that lives for as long as its client likes: one of transfers has a message under way all the while.
func (in *intake) open(ctx context.Context, ofHealth bool) (*sender, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.of(ctx)
	switch {
	case ofHealth && in.health >= healthStreamsAll:
		in.forget(s)
		return nil, fmt.Errorf("%w: %d watch this node's health", transfer.ErrBusy, in.health)
	case ofHealth && s.health >= healthStreamsMax:
		return nil, fmt.Errorf("%w: %d streams of this sender watch this node's health", transfer.ErrBusy, s.health)
	case ofHealth:
		s.health++
		in.health++
		return s, nil
	case s.streams >= transferStreamsMax:
		return nil, fmt.Errorf("%w: %d streams of this sender are open", transfer.ErrBusy, s.streams)
	}
	s.streams++
	return s, nil
}

func (in *intake) close(s *sender, ofHealth bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ofHealth {
		s.health--
		in.health--
	} else {
		s.streams--
	}
	in.forget(s)
}

// of finds a sender. It is called with the lock.
func (in *intake) of(ctx context.Context) *sender {
	key := keyOfSender(ctx)
	s, known := in.senders[key]
	if !known {
		readers := readersMax
		if in.stranger(ctx) {
			readers = strangerReadersMax
		}
		s = &sender{key: key, turns: make(chan struct{}, readers)}
		in.senders[key] = s
	}
	return s
}

func (in *intake) forget(s *sender) {
	if s.waiting == 0 && s.streams == 0 && s.health == 0 {
		delete(in.senders, s.key)
	}
}

// keyOfSender is the name of a caller, or the address of a connection's other end: a pointer that is its own.
func keyOfSender(ctx context.Context) any {
	if c := callerOf(ctx); c != nil {
		return [2]string{c.How, c.Name}
	}
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr
	}
	return nil
}

// envelope is a message that may turn out to be none: gRPC would say that this were a fault of ours.
type envelope struct {
	message  any
	bytesMax int // zero: as many as gRPC takes
	err      error
}

// codec reads envelopes as what is in them, and all else as gRPC does.
type codec struct{ plain encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Name() string { return c.plain.Name() }

func (c codec) Marshal(v any) (mem.BufferSlice, error) { return c.plain.Marshal(v) }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	e, is := v.(*envelope)
	if !is {
		return c.plain.Unmarshal(data, v)
	}
	if e.bytesMax > 0 && data.Len() > e.bytesMax {
		e.err = fmt.Errorf("it has %d bytes, and who hasn't said who they are may send %d", data.Len(), e.bytesMax)
		return nil
	}
	switch message := e.message.(type) {
	case *sealed:
		message.bytes = data.Materialize()
	case *quoratev1.SubmitTransferRequest:
		whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer whole.Free()
		if _, e.err = glance(whole.ReadOnlyData()); e.err == nil {
			e.err = c.plain.Unmarshal(mem.BufferSlice{whole}, message)
		}
	default:
		e.err = c.plain.Unmarshal(data, e.message)
	}
	return nil
}

// sealed is a message that isn't read yet.
type sealed struct{ bytes []byte }

func readInto(m any, from func(any) error) error { return (&envelope{message: m}).fill(from) }

func (e *envelope) fill(from func(any) error) error {
	if err := from(e); err != nil {
		return err
	}
	if e.err != nil {
		return notOfMethod(e.err)
	}
	return nil
}

// lengthFirst is what gRPC itself reads messages from. It doesn't promise that it stays so; if it doesn't, a stranger's message is refused when it is there.
type lengthFirst interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
}

// fillMeasured refuses a message by the length that stands before it. gRPC has one bound for all methods, and would take as much of a stranger.
func (e *envelope) fillMeasured(s lengthFirst) error {
	var header [5]byte // whether it is compressed, and its length
	if err := s.ReadMessageHeader(header[:]); err != nil {
		return brokenOff(err)
	}
	length := binary.BigEndian.Uint32(header[1:])
	if header[0] != 0 || int64(length) > int64(e.bytesMax) {
		e.err = fmt.Errorf("it is compressed, or of %d bytes; who hasn't said who they are may send %d", length, e.bytesMax)
		return nil
	}
	data, err := s.Read(int(length))
	if err != nil {
		return brokenOff(err)
	}
	defer data.Free()
	return newCodec().Unmarshal(data, e)
}

// brokenOff is the error of a message that didn't come, or not to its end.
func brokenOff(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("%w: the message breaks off: %v", transfer.ErrInvalidRequest, err)
}

func notOfMethod(err error) error {
	return fmt.Errorf("%w: the message is not one of this method: %v", transfer.ErrInvalidRequest, err)
}

// registrar offers services whose messages are read through the intake.
type registrar struct {
	grpc.ServiceRegistrar
	intake *intake
}

func (r registrar) RegisterService(desc *grpc.ServiceDesc, service any) {
	own := *desc
	own.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		handle := m.Handler
		m.Handler = func(service any, ctx context.Context, from func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			var unread error
			answer, err := handle(service, ctx, func(m any) error { unread = r.intake.receive(ctx, m, from); return unread }, interceptor)
			if unread != nil {
				return nil, r.intake.refuseUnread(ctx, unread)
			}
			if err == nil {
				farEndOf(ctx).answer(answer)
			}
			return answer, err
		}
		own.Methods[i] = m
	}
	r.ServiceRegistrar.RegisterService(&own, service)
}

// refuseUnread is the status of a request whose message couldn't be read. gRPC's own errors stay as they are: it has told the client already.
func (in *intake) refuseUnread(ctx context.Context, err error) error {
	if isStatus(err) || errors.Is(err, io.EOF) {
		return err
	}
	id := chooseRequestID(first(metadata.ValueFromIncomingContext(ctx, requestIDMetadata)))
	_ = grpc.SetHeader(ctx, metadata.Pairs(requestIDMetadata, id)) // fails only when the stream is gone
	return statusOf(err, id)
}

// stream is the intake of streams: it bounds how many streams without an end a sender has, and how long each message may take to be read and each answer to be taken.
func (in *intake) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if srv == nil { // nobody's
		return unknownMethod(s)
	}
	ctx := s.Context()
	slow := &slowStream{ServerStream: s, intake: in}
	ofTransfers, ofHealth := info.FullMethod == quoratev1.TransferService_StreamTransfers_FullMethodName, info.FullMethod == healthv1.Health_Watch_FullMethodName
	if ofTransfers || ofHealth {
		sender, err := in.open(ctx, ofHealth)
		if err != nil {
			return statusOf(in.door.refuse(err), chooseRequestID(first(metadata.ValueFromIncomingContext(ctx, requestIDMetadata))))
		}
		defer in.close(sender, ofHealth)
	}
	if ofTransfers {
		slow.endless = true
		return handle(srv, slow) // which says itself what it couldn't read
	}
	return in.refuseIfUnread(slow, handle(srv, slow))
}

func (in *intake) refuseIfUnread(s *slowStream, err error) error {
	if s.unread != nil && err != nil {
		return in.refuseUnread(s.Context(), s.unread)
	}
	return err
}

// slowStream is a stream whose client may be slow, up to a point.
type slowStream struct {
	grpc.ServerStream
	intake  *intake
	endless bool  // it is read for as long as it lives
	unread  error // what was wrong with its client's message
}

func (s *slowStream) RecvMsg(m any) error {
	if s.endless {
		return readInto(m, s.ServerStream.RecvMsg)
	}
	s.unread = s.intake.receive(s.Context(), m, s.ServerStream.RecvMsg)
	return s.unread
}

func (s *slowStream) SendMsg(m any) error {
	far := farEndOf(s.Context())
	far.answer(m)
	late := time.AfterFunc(s.intake.takeWithin, far.hangUp)
	defer late.Stop()
	return s.ServerStream.SendMsg(m)
}

// unknownMethod answers for methods that nobody offers.
func unknownMethod(s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	id := chooseRequestID(first(metadata.ValueFromIncomingContext(s.Context(), requestIDMetadata)))
	said := status.Convert(statusOf(fmt.Errorf("%w: there is no method %s", transfer.ErrNotFound, clip(method)), id)).Proto()
	said.Code = int32(codes.Unimplemented)
	return status.FromProto(said).Err()
}
