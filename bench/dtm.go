package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// dtmServer is a dtm that somebody else has started, with two branches that do nothing: only the manager is measured. A transaction
// is what dtm calls TCC over its HTTP API: prepare, then for each branch register and try, then submit.
type dtmServer struct {
	o      *options
	banks  *http.Server // the branches
	url    string       // of them
	client *http.Client
}

func (d *dtmServer) name() string { return "dtm" }

func (d *dtmServer) start(context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.url = "http://" + l.Addr().String()
	d.banks = &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // whatever it asks
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"dtm_result":"SUCCESS"}`) // the caller sees a failure
	})}
	d.client = &http.Client{Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024}}
	go func() { _ = d.banks.Serve(l) }() // ends by stop
	return nil
}

func (d *dtmServer) stop() error {
	if d.banks == nil {
		return nil
	}
	d.client.CloseIdleConnections()
	return d.banks.Close()
}

// measure knows nothing of the CPU of a server that it didn't start.
func (d *dtmServer) measure(ctx context.Context, clients int) (measurement, error) {
	var workers []worker
	for range clients {
		workers = append(workers, &workerDTM{d})
	}
	m, err := loop(ctx, d.o, d.name(), workers, nil)
	m.CPUMicros = 0
	return m, err
}

type workerDTM struct{ *dtmServer }

func (w *workerDTM) close() {}

func (w *workerDTM) do(ctx context.Context) error {
	transaction := map[string]any{"gid": fmt.Sprintf("%x-%x", time.Now().UnixNano(), rand.Uint64()), "trans_type": "tcc"}
	if err := w.post(ctx, w.o.dtm+"/prepare", transaction); err != nil {
		return err
	}
	for _, branch := range []string{"01", "02"} {
		if err := w.post(ctx, w.o.dtm+"/registerBranch", map[string]any{
			"gid": transaction["gid"], "trans_type": "tcc", "branch_id": branch, "data": "{}",
			"confirm": w.url + "/confirm", "cancel": w.url + "/cancel",
		}); err != nil {
			return err
		}
		if err := w.post(ctx, w.url+"/try", map[string]any{}); err != nil {
			return err
		}
	}
	return w.post(ctx, w.o.dtm+"/submit", transaction)
}

func (w *workerDTM) post(ctx context.Context, url string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || strings.Contains(string(answer), "FAILURE") {
		return fmt.Errorf("%s answers %s: %s", url, response.Status, answer)
	}
	return nil
}
