package api

import (
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/internal/wire"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// ordersOf reads the transfers of a request, each as it was sent. An error means that one of them is no TransferSpec.
func ordersOf(specs [][]byte) ([]order, error) {
	orders := make([]order, len(specs))
	for i, spec := range specs {
		var plain bool
		if orders[i], plain = orderOfPlain(spec); plain {
			continue
		}
		message := &quoratev1.TransferSpec{}
		if err := proto.Unmarshal(spec, message); err != nil {
			return nil, err
		}
		orders[i] = orderOfSpec(message)
	}
	return orders, nil
}

// orderOfPlain reads a TransferSpec by hand: generated code costs several times as much, and is most of what is done for a transfer before it is handed
// over. It says what orderOfSpec says of the same message; plain is false for a message that has more than an id, legs and a reference, or isn't written in
// the order of its fields, as all encoders do it.
func orderOfPlain(spec []byte) (o order, plain bool) {
	id, c := "", wire.NewCursor(spec)
	o.transfer.Legs = make([]transfer.Leg, 0, min(wire.CountMessages(spec, legsField), transfer.LegsMax+1))
	for c.Next() {
		switch c.Number {
		case idField:
			id = c.ValidText()
		case legsField:
			m := c.Message()
			leg := legOf(&m)
			c.Join(&m)
			if len(o.transfer.Legs) <= transfer.LegsMax { // as legsOfProto
				o.transfer.Legs = append(o.transfer.Legs, leg)
			}
		case referenceField:
			o.transfer.Reference = c.ValidText()
		default:
			c.Unknown()
		}
	}
	if c.Err != nil {
		return order{}, false
	}
	o.transfer.ID, o.err = idOfText(id)
	return o, true
}

func legOf(c *wire.Cursor) (l transfer.Leg) {
	for c.Next() {
		switch c.Number {
		case 1:
			l.Bank = transfer.BankID(c.ValidText())
		case 2:
			l.Account = transfer.AccountID(c.ValidText())
		case 3:
			l.Direction = directionOfProto(quoratev1.Direction(int32(c.Uint())))
		case 4:
			l.AmountMinor = int64(c.Uint())
		case 5:
			l.Currency = transfer.Currency(c.ValidText())
		default:
			c.Unknown()
		}
	}
	return l
}
