package api

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// sameAsGenerated fails if what was read by hand isn't what generated code reads, and says whether it was read by hand at all.
func sameAsGenerated(t *testing.T, spec []byte) (plain bool) {
	t.Helper()
	got, plain := orderOfPlain(spec)
	if !plain {
		return false
	}
	var message quoratev1.TransferSpec
	if err := proto.Unmarshal(spec, &message); err != nil {
		t.Fatalf("%x was read, and is none: %v", spec, err)
	}
	want := orderOfSpec(&message)
	if message.GetId() == "" { // both make one
		got.transfer.ID, want.transfer.ID = transfer.ID{}, transfer.ID{}
	}
	if (got.err == nil) != (want.err == nil) || got.err != nil && got.err.Error() != want.err.Error() {
		t.Fatalf("%x: %v, want %v", spec, got.err, want.err)
	}
	if got.err, want.err = nil, nil; !reflect.DeepEqual(got, want) {
		t.Fatalf("%x: read %+v, want %+v", spec, got, want)
	}
	return true
}

// randomSpec says whether it has what only generated code reads.
func randomSpec(rng *rand.Rand) (spec *quoratev1.TransferSpec, rare bool) {
	words := []string{"", "HOME", "alice", "EUR", "Grüße, 世界", "0190cafe-0000-7000-8000-000000000001", "0190cafe-0000-7000-8000-00000000000x", "00000000-0000-0000-0000-000000000000"}
	word := func() string { return words[rng.IntN(len(words))] }
	number := func() int64 { return []int64{0, 1, 127, 128, 1 << 40, -1, 1<<63 - 1, -1 << 63}[rng.IntN(8)] }
	spec = &quoratev1.TransferSpec{Id: word(), Reference: word()}
	for range []int{0, 1, 2, 3, transfer.LegsMax, transfer.LegsMax + 2}[rng.IntN(6)] {
		spec.Legs = append(spec.Legs, &quoratev1.Leg{
			Bank: word(), Account: word(), Direction: quoratev1.Direction(number()), AmountMinor: number(), Currency: word(),
		})
	}
	switch rng.IntN(8) {
	case 0:
		spec.Timeout = durationpb.New(time.Duration(number()))
	case 1:
		spec.Hold = true
	case 2:
		spec.HoldTimeout = durationpb.New(time.Duration(number()))
	}
	return spec, spec.Timeout != nil || spec.Hold || spec.HoldTimeout != nil
}

func TestOrdersReadByHandAreThoseOfGeneratedCode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	byHand := 0
	for range 3000 {
		spec, rare := randomSpec(rng)
		message, err := proto.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		if plain := sameAsGenerated(t, message); plain == rare {
			t.Fatalf("%v: read by hand: %v", spec, plain)
		}
		for range 20 { // whatever becomes of it
			bent := append([]byte(nil), message...)
			for range 1 + rng.IntN(3) {
				if len(bent) > 0 {
					bent[rng.IntN(len(bent))] = byte(rng.IntN(256))
				}
			}
			if sameAsGenerated(t, bent) {
				byHand++
			}
		}
	}
	if byHand < 1000 {
		t.Errorf("of all messages that were bent %d were read: too few to say anything", byHand)
	}
}

func FuzzOrderOfPlain(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		spec, _ := randomSpec(rng)
		message, err := proto.Marshal(spec)
		if err != nil {
			f.Fatal(err)
		}
		if len(message) < 1000 {
			f.Add(message)
		}
	}
	f.Fuzz(func(t *testing.T, spec []byte) { sameAsGenerated(t, spec) })
}

// TestTransfersOfARequestAreReadEitherWay has both kinds in one request, and one that is none.
func TestTransfersOfARequestAreReadEitherWay(t *testing.T) {
	var specs [][]byte
	for _, s := range []*quoratev1.TransferSpec{{Reference: "plain"}, {Reference: "rare", Hold: true}} {
		message, err := proto.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, message)
	}
	orders, err := ordersOf(specs)
	if err != nil || len(orders) != 2 || orders[0].transfer.Reference != "plain" || orders[1].transfer.Reference != "rare" || !orders[1].hold {
		t.Errorf("read %+v, %v", orders, err)
	}
	if _, err := ordersOf(append(specs, []byte{0x0a, 1, 0xff})); err == nil { // an id that isn't UTF-8
		t.Error("what is no transfer was read as one")
	}
}
