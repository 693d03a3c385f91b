package client_test

import (
	"errors"
	"testing"

	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// FuzzAnswers: whatever a server answers, no state and no id is taken for another, and an error keeps its kind.
func FuzzAnswers(f *testing.F) {
	add := func(m proto.Message) {
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, true)
	}
	add(&quoratev1.Transfer{Id: "01936f8e-7f3a-7000-8000-000000000001", State: quoratev1.TransferState_TRANSFER_STATE_ABORTED, Reason: &quoratev1.Reason{Code: "insufficient_funds", Shortfall: &quoratev1.Shortfall{}}})
	add(&quoratev1.Account{Id: "alice", Currency: "EUR", Status: quoratev1.AccountStatus_ACCOUNT_STATUS_OPEN})
	add(&quoratev1.ListEntriesResponse{Entries: []*quoratev1.Entry{{Seq: 1, TransferId: "x"}}})
	add(&quoratev1.Audit{Totals: []*quoratev1.Total{{Currency: "EUR"}}})
	add(&quoratev1.Status{Groups: []*quoratev1.GroupStatus{{Group: "cluster"}}})
	add(&rpc.Status{Code: 14, Message: "tls: bad certificate"})
	f.Fuzz(func(t *testing.T, wire []byte, sent bool) {
		var record quoratev1.Transfer
		if proto.Unmarshal(wire, &record) == nil {
			r, err := client.RecordOf(&record)
			switch {
			case err != nil && !errors.Is(err, transfer.ErrInternal):
				t.Fatalf("an answer that makes no sense is %v", err)
			case err == nil && (r.State < transfer.Pending || r.State > transfer.Held || r.Transfer.ID.IsZero()):
				t.Fatalf("%v was read as %+v", &record, r)
			}
		}
		var account quoratev1.Account
		if proto.Unmarshal(wire, &account) == nil {
			_ = client.AccountOf(&account)
		}
		var entries quoratev1.ListEntriesResponse
		if proto.Unmarshal(wire, &entries) == nil {
			if got, err := client.EntriesOf(entries.GetEntries()); err == nil && len(got) != len(entries.GetEntries()) {
				t.Fatalf("%d entries were read as %d", len(entries.GetEntries()), len(got))
			}
		}
		var audit quoratev1.Audit
		if proto.Unmarshal(wire, &audit) == nil {
			_ = client.AuditOf(&audit)
		}
		var view quoratev1.Status
		if proto.Unmarshal(wire, &view) == nil {
			_ = client.StatusOf(&view)
		}
		var s rpc.Status
		if proto.Unmarshal(wire, &s) != nil || s.GetCode() == 0 {
			return
		}
		is, certain := client.FailureOf(status.FromProto(&s).Err(), sent)
		var coded *transfer.Error
		if !errors.As(is, &coded) || coded.Kind == transfer.KindUnknown && certain {
			t.Fatalf("%v was read as %v, certain %v", &s, is, certain)
		}
	})
}
