package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/quorate/quorate/transfer"
)

const requestIDHeader = "Request-Id"

// web is the HTTP face: what stands around the operations of http.go.
type web struct {
	desk   *desk
	guard  *guard
	door   *door
	doctor *doctor
	mux    *http.ServeMux

	readWithin, takeWithin time.Duration // a body, an answer

	life context.Context // the base of every request; ends when the last ones are cut off
	end  context.CancelFunc
	busy sync.WaitGroup // requests, and transfers that nobody waits for any more (Prefer: wait)
}

func newWeb(d *desk, g *guard, door *door, doc *doctor) *web {
	w := &web{desk: d, guard: g, door: door, doctor: doc, mux: http.NewServeMux(), readWithin: bodyTimeout, takeWithin: answerTimeout}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// routes is the handler of everything. Patterns of cfg.Handlers that can't stand beside ours are an error.
func (w *web) routes(cfg *Config) (handler http.Handler, err error) {
	defer func() {
		if conflict := recover(); conflict != nil { // that is how ServeMux says it
			err = fmt.Errorf("routes: %v", conflict)
		}
	}()
	api := newHuma(w.mux, cfg.Version)
	w.register(api)
	spec, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	w.mux.Handle("GET /openapi.json", w.guarded("GET /openapi.json", http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/openapi+json")
		_, _ = out.Write(spec) // the client's loss
	})))
	w.mux.HandleFunc("GET /livez", func(out http.ResponseWriter, _ *http.Request) { tellHealth(out, w.doctor.alive()) })
	w.mux.HandleFunc("GET /readyz", func(out http.ResponseWriter, _ *http.Request) { tellHealth(out, w.doctor.ready()) })
	for pattern, h := range cfg.Handlers {
		w.mux.Handle(pattern, w.guarded(pattern, h))
	}
	if _, taken := cfg.Handlers["/"]; !taken {
		w.mux.Handle("/", w.guarded("a path that leads to nothing", http.HandlerFunc(w.nowhere)))
	}
	return http.HandlerFunc(w.serve), nil
}

// serve stands around every request: it names it, reads its body, and survives its handler's panic if the host wants so.
func (w *web) serve(out http.ResponseWriter, r *http.Request) {
	w.busy.Add(1)
	defer w.busy.Done()
	out = newPatient(out, w.takeWithin)
	if r.Body != nil && r.Body != http.NoBody { // also a body that nobody wants: net/http reads on, for the next request, before it lets an answer out
		_ = http.NewResponseController(out).SetReadDeadline(time.Now().Add(w.readWithin)) // not every connection can; then the client decides
	}
	id := chooseRequestID(r.Header.Get(requestIDHeader))
	out.Header().Set(requestIDHeader, id)
	out.Header().Set("X-Content-Type-Options", "nosniff")
	r = r.WithContext(context.WithValue(withRequestID(r.Context(), id), pathKey{}, r.URL.Path))
	defer func() {
		recovered := recover()
		if recovered == nil {
			return
		}
		if recovered == http.ErrAbortHandler { // a handler's way to drop the connection
			panic(recovered)
		}
		err := w.guard.panicked(recovered)
		w.guard.note(r.Context(), r.Pattern, err)
		writeProblem(out, problemOf(r.Context(), err, 0))
	}()
	ctx, err := w.door.enterHTTP(r)
	if err != nil {
		if isOutdated(err) {
			out.Header().Set("Connection", "close") // HTTP/2 ends it, too
		}
		writeProblem(out, problemOf(r.Context(), err, 0))
		return
	}
	r = r.WithContext(ctx)
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		out.Header().Set("Cache-Control", "no-store")
		if keys := r.Header.Values("Idempotency-Key"); len(keys) > 1 || len(keys) == 1 && keys[0] == "" {
			writeProblem(out, problemOf(r.Context(), &unreadable{"there must be one Idempotency-Key with something in it, or none"}, 0))
			return
		}
		if p := w.readBody(out, r); p != nil {
			writeProblem(out, p)
			return
		}
	}
	w.mux.ServeHTTP(out, splitVerb(r))
}

// patient writes to a client that may be slow, but takes something within a time.
type patient struct {
	http.ResponseWriter
	connection *http.ResponseController
	within     time.Duration
}

func newPatient(out http.ResponseWriter, within time.Duration) *patient {
	p := &patient{out, http.NewResponseController(out), within}
	_ = p.connection.SetWriteDeadline(time.Time{}) // that of the connection's last answer. Not every connection can: then the client decides
	return p
}

// Write gives each part of an answer its time.
func (p *patient) Write(b []byte) (int, error) {
	_ = p.connection.SetWriteDeadline(time.Now().Add(p.within))
	return p.ResponseWriter.Write(b)
}

// Flush sends what was written.
func (p *patient) Flush() { _ = p.connection.Flush() }

// Unwrap is for http.ResponseController.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// guarded lets only those in who may ask for what a pattern stands for; its path without the method is how the table calls it.
func (w *web) guarded(pattern string, h http.Handler) http.Handler {
	operation := pattern
	if method, path, found := strings.Cut(pattern, " "); found && method == strings.ToUpper(method) {
		operation = path
	}
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if err := w.door.may(r.Context(), operation, ""); err != nil {
			writeProblem(out, problemOf(r.Context(), err, 0))
			return
		}
		h.ServeHTTP(out, r)
	})
}

// splitVerb puts the verb of …/{id}:verb into a segment of its own, where the router can see it. Names of accounts may have colons
// themselves, but nothing is posted to an account except verbs: there the last colon is the verb's.
func splitVerb(r *http.Request) *http.Request {
	parent, name := path.Split(r.URL.Path)
	id, verb, found := strings.Cut(name, ":")
	if strings.HasSuffix(parent, "/accounts/") {
		at := strings.LastIndexByte(name, ':')
		if found = r.Method == http.MethodPost && at > 0; found {
			id, verb = name[:at], name[at+1:]
		}
	}
	if !found || id == "" || parent == "/v1/" || !strings.HasPrefix(parent, "/v1/") { // the verbs of the cluster stand in their patterns
		return r
	}
	r = r.WithContext(r.Context()) // a copy
	r.URL = &url.URL{Path: verbPath(parent+id, verb), RawQuery: r.URL.RawQuery}
	return r
}

// readBody takes the whole body into memory, within bounds of size and, as serve has set it, time. The time ends with a body that is there: left on the
// connection, it would later end the context of a request that waits for its outcome.
func (w *web) readBody(out http.ResponseWriter, r *http.Request) *problem {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && (err != nil || kind != "application/json") {
		return problemOf(r.Context(), &unreadable{"the Content-Type must be application/json"}, http.StatusUnsupportedMediaType)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return problemOf(r.Context(), &unreadable{"a compressed body can't be read; leave Content-Encoding out"}, http.StatusUnsupportedMediaType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, bodyBytesMax))
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return problemOf(r.Context(), &unreadable{fmt.Sprintf("the body has more than %d bytes", bodyBytesMax)}, http.StatusRequestEntityTooLarge)
	case errors.As(err, &network) && network.Timeout():
		return problemOf(r.Context(), &unreadable{fmt.Sprintf("the body took longer than %v", w.readWithin)}, http.StatusRequestTimeout)
	case err != nil:
		return problemOf(r.Context(), &unreadable{"the body ends too early"}, 0)
	}
	_ = http.NewResponseController(out).SetReadDeadline(time.Time{})
	if kind != "" {
		r.Header.Set("Content-Type", kind) // huma knows it in small letters only
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// submitAndWait submits in the background and waits at most that long; then the transfer is pending, as far as the client is told.
func (w *web) submitAndWait(ctx context.Context, o order, wait time.Duration) (transfer.Record, error) {
	if err := w.desk.refuses(ctx, &o); err != nil {
		return transfer.Record{}, err // known at once, however short the wait
	}
	type answer struct {
		record transfer.Record
		err    error
	}
	answers := make(chan answer, 1)
	w.busy.Go(func() { // ends with the transfer's own time; finish waits for it
		var a answer
		defer func() {
			if recovered := recover(); recovered != nil {
				a.err = w.guard.panicked(recovered)
			}
			answers <- a
		}()
		a.record, a.err = w.desk.submit(withCaller(withRequestID(w.life, requestID(ctx)), callerOf(ctx)), o)
	})
	enough := time.NewTimer(wait)
	defer enough.Stop()
	select {
	case a := <-answers:
		return a.record, a.err
	case <-enough.C:
		return transfer.Record{Transfer: o.transfer, State: transfer.Pending}, nil
	case <-ctx.Done():
		return transfer.Record{}, &requestError{o.transfer.ID, ctx.Err()}
	}
}

// finish waits until nothing runs any more; from the end of ctx on it insists.
func (w *web) finish(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { w.busy.Wait(); close(idle) }() // waited for below
	defer w.end()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		w.end()
		<-idle
		return ctx.Err()
	}
}

// nowhere answers for paths that don't exist, and for methods that a path doesn't have.
func (w *web) nowhere(out http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := w.mux.Handler(probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 { // and r.Method isn't among them, or it wouldn't be here
		out.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(out, problemOf(r.Context(), &unreadable{"this path has no method " + clip(r.Method)}, http.StatusMethodNotAllowed))
		return
	}
	hint := ""
	if at := strings.TrimSuffix(r.URL.Path, "/"); at == "" || at == "/v1" { // somebody looks around
		hint = "; GET /openapi.json says what there is"
	}
	writeProblem(out, problemOf(r.Context(), fmt.Errorf("%w: %s%s", transfer.ErrNotFound, clip(r.URL.Path), hint), 0))
}

func tellHealth(out http.ResponseWriter, err error) {
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		out.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(out, err) // the prober's loss
		return
	}
	_, _ = fmt.Fprintln(out, "ok")
}

func writeProblem(out http.ResponseWriter, p *problem) {
	for name, values := range p.GetHeaders() {
		out.Header()[name] = values
	}
	out.Header().Set("Content-Type", p.ContentType(""))
	out.WriteHeader(p.Status)
	_ = writeJSON(out, p) // always nil for a problem
}

// writeJSON reports only what is wrong with the value: a client that is gone is no fault of ours, and huma would panic.
func writeJSON(out io.Writer, v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, _ = out.Write(text.Bytes())
	return nil
}

// schemaName is how the OpenAPI document calls a type: transferSpecJSON is TransferSpec.
func schemaName(t reflect.Type, hint string) string {
	return strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "JSON", "")
}
