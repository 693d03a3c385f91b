package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// A transfer that is known is submitted again when its time is nearly over, or all of it: it is answered with its outcome, on every way in.
func TestTimesThatHaveShrunkSayNothingOfWhatIsKnown(t *testing.T) {
	w := open(t, func(cfg *api.Config) { cfg.Timeouts.Min = time.Second })
	stream := openStream(t, w)
	var sent uint64
	ways := map[string]func(*quoratev1.TransferSpec) (state, code string){
		"one": func(s *quoratev1.TransferSpec) (string, string) {
			r, err := w.transfers().SubmitTransfer(context.Background(), &quoratev1.SubmitTransferRequest{Transfer: s})
			return r.GetTransfer().GetState().String(), infoOf(status.Convert(err)).GetReason()
		},
		"a batch": func(s *quoratev1.TransferSpec) (string, string) {
			r, err := w.transfers().SubmitTransfers(context.Background(), &quoratev1.SubmitTransfersRequest{Transfers: []*quoratev1.TransferSpec{spec(""), s}})
			if err != nil {
				t.Fatal(err)
			}
			return r.GetResults()[1].GetTransfer().GetState().String(), r.GetResults()[1].GetError().GetCode()
		},
		"a stream": func(s *quoratev1.TransferSpec) (string, string) {
			sendTransfers(t, stream, s)
			sent++
			r := results(t, stream, 1)[sent]
			return r.GetTransfer().GetState().String(), r.GetError().GetCode()
		},
	}
	for _, prefer := range []string{"Prefer: respond-async", "Prefer: wait=60"} {
		ways["HTTP "+prefer] = func(s *quoratev1.TransferSpec) (string, string) {
			times := fmt.Sprintf(`"timeout_ms":%d,`, s.GetTimeout().AsDuration().Milliseconds())
			if s.GetHold() {
				times += fmt.Sprintf(`"hold":true,"hold_timeout_ms":%d,`, s.GetHoldTimeout().AsDuration().Milliseconds())
			}
			r := w.do("POST", "/v1/transfers", fmt.Sprintf(`{"id":%q,%s%s}`, s.GetId(), times, legs), prefer)
			state, _ := r.fields(t)["state"].(string)
			code, _ := r.fields(t)["code"].(string)
			return "TRANSFER_STATE_" + strings.ToUpper(state), code
		}
	}
	cases := map[string]struct {
		timeout, hold time.Duration
		code, state   string
	}{
		"less than a cluster takes":        {900 * time.Millisecond, 0, "invalid_deadline", "TRANSFER_STATE_COMMITTED"},
		"a deadline that has passed":       {-time.Second, 0, "invalid_deadline", "TRANSFER_STATE_COMMITTED"},
		"a hold that can't be prepared":    {5 * time.Second, 4 * time.Second, "invalid_hold", "TRANSFER_STATE_HELD"},
		"a hold whose time is over":        {5 * time.Second, -time.Second, "invalid_hold", "TRANSFER_STATE_HELD"},
		"a hold with less than one may be": {500 * time.Millisecond, time.Second, "invalid_deadline", "TRANSFER_STATE_HELD"},
	}
	for way, submit := range ways {
		for name, tc := range cases {
			s := spec(client.NewID().String())
			s.Timeout = durationpb.New(tc.timeout)
			if tc.hold != 0 {
				s.Hold, s.HoldTimeout = true, durationpb.New(tc.hold)
			}
			if _, code := submit(s); code != tc.code {
				t.Errorf("%s: %s: of what nobody knows: %q", way, name, code)
			}
			w.fake.set(func(f *fake) { f.known[mustID(t, s.GetId())] = transfer.Record{} })
			if state, code := submit(s); state != tc.state {
				t.Errorf("%s: %s: of what is known: %s %q", way, name, state, code)
			}
			w.fake.set(func(f *fake) { f.fail = transfer.ErrNoLeader })
			if _, code := submit(s); code != "no_leader" {
				t.Errorf("%s: %s: of what can't be known: %q", way, name, code)
			}
			w.fake.set(func(f *fake) { f.fail = nil })
		}
	}
}
