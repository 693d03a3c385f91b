package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/gofrs/uuid/v5"

	"github.com/quorate/quorate/transfer"
)

// guard is what stands around every handler: it keeps panics and faults from going unnoticed.
type guard struct {
	log     *slog.Logger
	onPanic func(recovered any, stack []byte)
}

// panicked turns a recovered panic into an internal error, if the host lets the process live.
func (g *guard) panicked(recovered any) error {
	stack := debug.Stack()
	if g.onPanic == nil {
		die(recovered, stack)
	}
	g.onPanic(recovered, stack)
	return fmt.Errorf("%w: a handler panicked: %v", transfer.ErrInternal, recovered)
}

// die panics where nobody recovers: net/http swallows the panics of handlers, and a process whose promises are broken may not go on.
func die(recovered any, stack []byte) {
	go func() { panic(fmt.Sprintf("%v\n\n%s", recovered, stack)) }() // ends the process
	select {}
}

// note logs a fault of ours: the client hears only the request id.
func (g *guard) note(ctx context.Context, request string, err error) {
	if err == nil || classify(err) != transfer.ErrInternal || errors.Is(err, context.Canceled) {
		return
	}
	g.log.ErrorContext(ctx, "request failed", "component", "api", "request", request, "request_id", requestID(ctx), "err", err)
}

type requestIDKey struct{}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// requestID is what names this request in answers and logs.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// chooseRequestID keeps the client's own id, if it is harmless to print.
func chooseRequestID(wish string) string {
	const longest = 128
	if wish != "" && len(wish) <= longest && isPrintable(wish) {
		return wish
	}
	return uuid.Must(uuid.NewV7()).String()
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '"' {
			return false
		}
	}
	return true
}
