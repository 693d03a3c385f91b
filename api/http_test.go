package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/api"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

func TestBodiesThatAreRefused(t *testing.T) {
	cases := []struct {
		name, body, code string
		status           int
	}{
		{"nothing", "", "invalid_request", 400},
		{"no JSON", "legs=2", "invalid_request", 400},
		{"cut off", oneTransfer[:50], "invalid_request", 400},
		{"two values", oneTransfer + oneTransfer, "invalid_request", 400},
		{"something after it", oneTransfer + "]", "invalid_request", 400},
		{"an array", "[" + oneTransfer + "]", "invalid_request", 400},
		{"null", "null", "too_few_legs", 400},
		{"an unknown field", `{"amount":1,` + legs + "}", "invalid_request", 400},
		{"an unknown field in a leg", strings.Replace(oneTransfer, `"bank"`, `"iban"`, 1), "invalid_request", 400},
		{"a field in other letters", strings.Replace(oneTransfer, `"currency"`, `"Currency"`, 1), "invalid_request", 400},
		{"a field that folds to ours", strings.Replace(oneTransfer, `"legs"`, `"legſ"`, 1), "invalid_request", 400},
		{"a field twice", strings.Replace(oneTransfer, `"reference"`, `"id":"x","reference"`, 1), "invalid_request", 400},
		{"an amount twice", strings.Replace(oneTransfer, `"amount_minor"`, `"amount_minor":"1","amount_minor"`, 1), "invalid_request", 400},
		{"an amount as a number", strings.Replace(oneTransfer, `"1050"`, `1050`, 1), "invalid_request", 400},
		{"a decimal", strings.Replace(oneTransfer, `"1050"`, `"10.50"`, 1), "invalid_amount", 400},
		{"a signed amount", strings.Replace(oneTransfer, `"1050"`, `"+1050"`, 1), "invalid_amount", 400},
		{"a negative amount", strings.Replace(oneTransfer, `"1050"`, `"-1050"`, 1), "invalid_amount", 400},
		{"an amount with an underscore", strings.Replace(oneTransfer, `"1050"`, `"1_050"`, 1), "invalid_amount", 400},
		{"too large an amount", strings.Replace(oneTransfer, `"1050"`, `"9223372036854775808"`, 1), "invalid_amount", 400},
		{"no amount", strings.Replace(oneTransfer, `"1050"`, `""`, 1), "invalid_amount", 400},
		{"a direction in capitals", strings.Replace(oneTransfer, `"debit"`, `"DEBIT"`, 1), "invalid_direction", 400},
		{"no legs", `{}`, "too_few_legs", 400},
		{"a bad id", `{"id":"42",` + legs + "}", "invalid_id", 400},
		{"no time", `{"timeout_ms":0,` + legs + "}", "invalid_deadline", 400},
		{"time that overflows", `{"timeout_ms":9223372036854775807,` + legs + "}", "invalid_deadline", 400},
		{"too large", `{"reference":"` + strings.Repeat("x", 300<<10) + `"}`, "invalid_request", 413},
	}
	w := open(t, nil)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.do("POST", "/v1/transfers", c.body)
			if got := r.fields(t); r.status != c.status || got["code"] != c.code || got["outcome"] != "not_applied" {
				t.Errorf("%d %s, want %d %s", r.status, r.body, c.status, c.code)
			}
		})
	}
	if r := w.do("POST", "/v1/transfers", oneTransfer, "Content-Type: text/plain"); r.status != 415 {
		t.Errorf("text/plain: %d", r.status)
	}
	if len(w.fake.seen) != 0 {
		t.Errorf("%d reached the backend", len(w.fake.seen))
	}
	for _, kind := range []string{"application/json; charset=utf-8", "Application/JSON", "APPLICATION/json;charset=UTF-8"} {
		if r := w.do("POST", "/v1/transfers", oneTransfer, "Content-Type: "+kind); r.status != 201 {
			t.Errorf("the good one, as %s: %d %s", kind, r.status, r.body)
		}
	}
}

func TestACancelIsAVerbOfItsTransfer(t *testing.T) {
	w := open(t, nil)
	for range 2 {
		r := w.do("POST", "/v1/transfers/"+idText+":cancel", "")
		if reason, _ := r.fields(t)["reason"].(map[string]any); r.status != 200 || reason["code"] != "cancelled" || r.fields(t)["state"] != "aborted" {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	const other = "01936b2e-0000-7000-8000-00000000000f"
	if r := w.do("POST", "/v1/transfers", "{"+legs+"}", "Idempotency-Key: "+other); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := w.do("POST", "/v1/transfers/"+other+":cancel", ""); r.status != 200 || r.fields(t)["state"] != "committed" {
		t.Errorf("too late: %d %s", r.status, r.body)
	}
	for path, want := range map[string]int{"42:cancel": 400, idText: 405, idText + ":": 404, idText + ":cancel:cancel": 404, idText + ":undo": 404, idText + ":cancel/x": 404} {
		if r := w.do("POST", "/v1/transfers/"+path, ""); r.status != want {
			t.Errorf("POST %s: %d %s, want %d", path, r.status, r.body, want)
		}
	}
	if r := w.do("GET", "/v1/transfers/"+idText+":cancel", ""); r.status != 405 || r.header.Get("Allow") != "POST" {
		t.Errorf("GET of a verb: %d %v", r.status, r.header)
	}
	w.fake.set(func(f *fake) { f.fail = transfer.ErrOutcomeUnknown })
	if r := w.do("POST", "/v1/transfers/"+idText+":cancel", ""); r.status != 504 || r.fields(t)["outcome"] != "unknown" || r.fields(t)["id"] != idText {
		t.Errorf("unknown: %d %s", r.status, r.body)
	}
}

func TestWhoLooksAroundIsShownTheDocument(t *testing.T) {
	w := open(t, nil)
	for path, shown := range map[string]bool{"/": true, "/v1": true, "/v1/": true, "/v1/nothing": false, "/v2": false} {
		r := w.do("GET", path, "")
		detail, _ := r.fields(t)["detail"].(string)
		if r.status != 404 || strings.Contains(detail, "GET /openapi.json") != shown {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// TestALimitOfZeroIsNone: unset is another thing.
func TestALimitOfZeroIsNone(t *testing.T) {
	w := open(t, nil)
	for _, list := range []string{"/v1/banks/HOME/accounts", "/v1/banks/HOME/entries", "/v1/banks/HOME/accounts/alice/entries", "/v1/transfers", "/v1/in-doubt"} {
		for query, want := range map[string]int{"": 200, "?limit=1": 200, "?limit=1001": 200, "?limit=0": 400, "?limit=-1": 400} {
			if r := w.do("GET", list+query, ""); r.status != want || want == 400 && r.fields(t)["code"] != "invalid_request" {
				t.Errorf("%s%s: %d %s", list, query, r.status, r.body)
			}
		}
	}
	for _, q := range w.fake.queries {
		if q.Limit != 100 && q.Limit != 1 && q.Limit != api.PageMax {
			t.Errorf("asked for %d", q.Limit)
		}
	}
}

// TestATokenIsOfOneList: of another one, and of a release whose tokens didn't say of which list they are, it is refused.
func TestATokenIsOfOneList(t *testing.T) {
	w := open(t, nil)
	lists := []string{"/v1/banks/HOME/accounts?cursor=", "/v1/banks/HOME/entries?cursor=", "/v1/banks/HOME/accounts/alice/entries?cursor=", "/v1/transfers?cursor=", "/v1/events?position="}
	for of, kind := range []string{"a/", "e/", "s/", "t/", "d", ""} {
		for _, key := range []string{"7", "7,4", "alice", "18446744073709551615"} {
			token := base64.RawURLEncoding.EncodeToString([]byte(kind + key))
			for at, list := range lists {
				if at == of {
					continue
				}
				if r := w.do("GET", list+token, ""); r.status != 400 || r.fields(t)["code"] != "invalid_request" {
					t.Errorf("%s%s (%s): %d %s", list, token, kind+key, r.status, r.body)
				}
			}
		}
	}
	for _, own := range []string{lists[0] + "YS83", lists[1] + "ZS83", lists[2] + "cy83", lists[3] + "dC83"} { // a/7, e/7, s/7, t/7
		if r := w.do("GET", own, ""); r.status != 200 {
			t.Errorf("%s: %d %s", own, r.status, r.body)
		}
	}
	for at, kind := range map[int]string{1: "e/", 2: "s/"} {
		token := base64.RawURLEncoding.EncodeToString([]byte(kind + "18446744073709551615")) // behind which the next number is zero
		if r := w.do("GET", lists[at]+token, ""); r.status != 400 {
			t.Errorf("%s%s: %d %s", lists[at], token, r.status, r.body)
		}
	}
}

func TestAStaleReadSaysThatItIs(t *testing.T) {
	w := open(t, nil)
	if r := w.do("POST", "/v1/transfers", oneTransfer); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for query, stale := range map[string]bool{"": false, "?consistency=linearizable": false, "?consistency=stale": true} {
		r := w.do("GET", "/v1/transfers/"+idText+query, "")
		says, _ := r.fields(t)["stale"].(bool)
		if old := r.fields(t)["state"] == "pending"; r.status != 200 || says != stale || old != stale {
			t.Errorf("%q: %d %s", query, r.status, r.body)
		}
	}
	if r := w.do("GET", "/v1/transfers/"+idText+"?consistency=eventual", ""); r.status != 400 || r.fields(t)["code"] != "invalid_request" {
		t.Errorf("a word of no meaning: %d %s", r.status, r.body)
	}
	for consistency, stale := range map[quoratev1.Consistency]bool{
		quoratev1.Consistency_CONSISTENCY_UNSPECIFIED: false, quoratev1.Consistency_CONSISTENCY_LINEARIZABLE: false, quoratev1.Consistency_CONSISTENCY_STALE: true,
	} {
		answer, err := w.transfers().GetTransfer(context.Background(), &quoratev1.GetTransferRequest{Id: idText, Consistency: consistency})
		if old := answer.GetTransfer().GetState() == quoratev1.TransferState_TRANSFER_STATE_PENDING; err != nil || answer.GetStale() != stale || old != stale {
			t.Errorf("%v: %v, %v", consistency, answer, err)
		}
	}
	if _, err := w.transfers().GetTransfer(context.Background(), &quoratev1.GetTransferRequest{Id: idText, Consistency: 99}); infoOf(status.Convert(err)).GetReason() != "invalid_request" {
		t.Errorf("a number of no meaning: %v", err)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	w := open(t, nil)
	hashed, err := api.IDOfKey("order 66")
	if err != nil {
		t.Fatal(err)
	}
	const other = "01936b2e-0000-7000-8000-00000000000f"
	cases := []struct{ name, key, body, want string }{
		{"a UUID is the id", idText, "{" + legs + "}", idText},
		{"a quoted UUID, too", `"` + idText + `"`, "{" + legs + "}", idText},
		{"a string is hashed", "order 66", "{" + legs + "}", hashed.String()},
		{"quotes don't count", `"order 66"`, "{" + legs + "}", hashed.String()},
		{"escapes are undone", `"order \"66\""`, "{" + legs + "}", mustKey(t, `order "66"`)},
		{"the body may have the same id", idText, oneTransfer, idText},
		{"also where the key is hashed to it", "order 66", `{"id":"` + hashed.String() + `",` + legs + `}`, hashed.String()},
		{"the longest", strings.Repeat("k", 255), "{" + legs + "}", mustKey(t, strings.Repeat("k", 255))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.do("POST", "/v1/transfers", c.body, "Idempotency-Key: "+c.key)
			if got := r.fields(t)["id"]; r.status != 201 || got != c.want {
				t.Errorf("%d, id %v, want %s", r.status, got, c.want)
			}
		})
	}
	for _, bad := range []string{strings.Repeat("k", 256), `"`, `""`, `"a`, `"a"b"`, `"a\b"`} {
		if r := w.do("POST", "/v1/transfers", "{"+legs+"}", "Idempotency-Key: "+bad); r.status != 400 {
			t.Errorf("key %q: %d %s", bad, r.status, r.body)
		}
	}
	seen := len(w.fake.seen)
	for _, other := range []string{other, "order 66"} {
		if r := w.do("POST", "/v1/transfers", oneTransfer, "Idempotency-Key: "+other); r.status != 400 || r.fields(t)["code"] != "invalid_request" || len(w.fake.seen) != seen {
			t.Errorf("the key %q and the id %s: %d %s", other, idText, r.status, r.body)
		}
	}
	for _, keys := range [][]string{{"one", "two"}, {"", "one"}, {""}} {
		r, err := http.NewRequest("POST", w.url+"/v1/transfers", strings.NewReader("{"+legs+"}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Idempotency-Key"] = keys
		answer, err := w.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = answer.Body.Close(); answer.StatusCode != 400 {
			t.Errorf("the keys %q: %d", keys, answer.StatusCode)
		}
	}
	if hashed[6]>>4 != 8 || hashed[8]>>6 != 2 {
		t.Errorf("%s is no UUIDv8", hashed)
	}
}

func mustKey(t *testing.T, key string) string {
	t.Helper()
	id, err := api.IDOfKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// The ids of keys are a promise: a client that repeats a key after an upgrade means the same transfer.
func TestIDsOfKeysNeverChange(t *testing.T) {
	golden(t, "keys.txt", fmt.Sprintf("order 66: %s\nk: %s\n", mustKey(t, "order 66"), mustKey(t, "k")))
}

func TestPreferWait(t *testing.T) {
	w := open(t, nil)
	release := make(chan struct{})
	w.fake.set(func(f *fake) {
		f.submit = func(ctx context.Context, t transfer.Transfer) (transfer.Record, error) {
			select {
			case <-release:
				return committed(t), nil
			case <-ctx.Done():
				return transfer.Record{}, transfer.ErrOutcomeUnknown
			}
		}
	})
	r := w.do("POST", "/v1/transfers", oneTransfer, "Prefer: respond-async, wait=0; x=y")
	if p := r.fields(t); r.status != 202 || p["state"] != "pending" || p["id"] != idText || r.header.Get("Location") != "/v1/transfers/"+idText || r.header.Get("Preference-Applied") != "wait=0" {
		t.Errorf("%d %s %v", r.status, r.body, r.header)
	}
	close(release)
	r = w.do("POST", "/v1/transfers", oneTransfer, "Prefer: wait=60")
	if p := r.fields(t); r.status != 201 || p["state"] != "committed" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := w.do("POST", "/v1/transfers", `{"id":"42"}`, "Prefer: wait=0"); r.status != 400 {
		t.Errorf("what is wrong at once must be told at once: %d", r.status)
	}
	w.fake.set(func(f *fake) { f.full = transfer.ErrBusy })
	if r := w.do("POST", "/v1/transfers", oneTransfer, "Prefer: wait=0"); r.status != 429 || r.fields(t)["code"] != "busy" || r.fields(t)["id"] != idText {
		t.Errorf("a node that is full: %d %s", r.status, r.body)
	}
}

func TestRequestWaitsForItsTransfersTimeAndABitMore(t *testing.T) {
	w := open(t, nil)
	waits := make(chan time.Duration, 1)
	w.fake.set(func(f *fake) {
		f.submit = func(ctx context.Context, t transfer.Transfer) (transfer.Record, error) {
			until, _ := ctx.Deadline()
			waits <- until.Sub(t.Deadline)
			return committed(t), nil
		}
	})
	w.do("POST", "/v1/transfers", `{"timeout_ms":1500,`+legs+"}")
	if extra := <-waits; extra < 1900*time.Millisecond || extra > 2100*time.Millisecond {
		t.Errorf("HTTP waits %v longer than the transfer, want 2 s", extra)
	}
	if _, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec("")}); err != nil {
		t.Fatal(err)
	}
	if extra := <-waits; extra < 1900*time.Millisecond || extra > 2100*time.Millisecond {
		t.Errorf("gRPC waits %v longer than the transfer, want 2 s", extra)
	}
}

func TestPanicsStopTheProcessOrBecomeInternal(t *testing.T) {
	survived := make(chan any, 3)
	w := open(t, func(c *api.Config) { c.OnPanic = func(recovered any, _ []byte) { survived <- recovered } })
	w.fake.set(func(f *fake) {
		f.submit = func(context.Context, transfer.Transfer) (transfer.Record, error) { panic(errors.New("boom")) }
	})
	if r := w.do("POST", "/v1/transfers", oneTransfer); r.status != 500 || r.fields(t)["code"] != "internal" || strings.Contains(r.body, "boom") {
		t.Errorf("HTTP: %d %s", r.status, r.body)
	}
	if r := w.do("POST", "/v1/transfers", oneTransfer, "Prefer: wait=60"); r.status != 500 || r.fields(t)["code"] != "internal" {
		t.Errorf("HTTP in the background: %d %s", r.status, r.body)
	}
	_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec(idText)})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "boom") {
		t.Errorf("gRPC: %v", err)
	}
	for range 3 {
		if r := <-survived; fmt.Sprint(r) != "boom" {
			t.Errorf("OnPanic heard %v", r)
		}
	}
}

func TestFurtherHandlers(t *testing.T) {
	w := open(t, func(c *api.Config) {
		c.Handlers = map[string]http.Handler{
			"GET /metrics": http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("up 1\n")) }),
		}
	})
	if r := w.do("GET", "/metrics", ""); r.status != 200 || r.body != "up 1\n" {
		t.Errorf("%d %s", r.status, r.body)
	}
	taken := map[string]http.Handler{"GET /v1/status": http.NotFoundHandler()}
	if s, err := api.Serve(api.Config{HTTP: listen(t), Handlers: taken}, newFake()); err == nil {
		_ = s.Stop(context.Background())
		t.Error("a path of ours was given away")
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	w := open(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	w.fake.set(func(f *fake) {
		f.submit = func(_ context.Context, t transfer.Transfer) (transfer.Record, error) {
			entered <- struct{}{}
			<-release
			return committed(t), nil
		}
	})
	answered := make(chan error, 2)
	go func() {
		r, err := w.http.Post(w.url+"/v1/transfers", "application/json", strings.NewReader(oneTransfer))
		if err == nil {
			err = r.Body.Close()
			if r.StatusCode != 201 {
				err = fmt.Errorf("status %d", r.StatusCode)
			}
		}
		answered <- err
	}()
	go func() {
		_, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec("")})
		answered <- err
	}()
	<-entered
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop(patience) }()
	close(release)
	for range 2 {
		if err := <-answered; err != nil {
			t.Errorf("a request in flight: %v", err)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	w := open(t, nil)
	entered := make(chan struct{}, 3)
	w.fake.set(func(f *fake) {
		f.submit = func(ctx context.Context, _ transfer.Transfer) (transfer.Record, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return transfer.Record{}, fmt.Errorf("%w: %w", transfer.ErrOutcomeUnknown, ctx.Err())
		}
	})
	go func() {
		if r, err := w.http.Post(w.url+"/v1/transfers", "application/json", strings.NewReader(oneTransfer)); err == nil {
			_ = r.Body.Close()
		}
	}()
	go func() {
		_, _ = w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: spec("")})
	}()
	w.do("POST", "/v1/transfers", oneTransfer, "Prefer: wait=0")
	for range 3 {
		<-entered
	}
	if err := w.stop(time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
}
