package api

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// turnAway refuses a whole request, of which it reads as little as it can: a server that has too much to do must not spend on what it won't do.
func (f *flow) turnAway(first uint64, g glimpse, full error) error {
	if len(g.specs) == 0 {
		return nil
	}
	refusal := protoOfFailure(full)
	var said []told
	if g.together {
		said = []told{{number: first, refusal: refusal, together: len(g.specs)}}
	} else {
		var err error
		if said, err = refusalOfEach(first, g.specs, refusal); err != nil {
			return err
		}
	}
	f.desk.count.refused(len(g.specs), full)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open += len(g.specs)
	f.ready = append(f.ready, said...)
	poke(f.wake)
	return nil
}

func refusalOfEach(first uint64, specs [][]byte, refusal *quoratev1.Error) ([]told, error) {
	said := make([]told, len(specs))
	for i, spec := range specs {
		id, err := idOfSpec(spec)
		if err != nil {
			return nil, notOfMethod(err)
		}
		said[i] = told{number: first + uint64(i), idText: id, refusal: refusal}
	}
	return said, nil
}

// Numbers of fields, as in the proto.
const (
	transfersField = 1 // of StreamTransfersRequest, SubmitTransfersRequest and SubmitTransferRequest
	omitField      = 2 // of StreamTransfersRequest and SubmitTransfersRequest
	togetherField  = 3 // of StreamTransfersRequest
	idField        = 1 // of TransferSpec
	legsField      = 2
	referenceField = 4
)

// glimpse is what is seen of a request with transfers before they are read.
type glimpse struct {
	specs          [][]byte // as they were sent
	omit, together bool
}

// glance reads of a request with transfers only what is needed to refuse it. A request of too many is none: empty transfers and legs take two bytes each as they
// are sent, and a hundred and more once they are read.
func glance(message []byte) (g glimpse, err error) {
	legs := 0
	err = eachField(message, func(number protowire.Number, kind protowire.Type, value []byte) error {
		switch {
		case number == transfersField && kind == protowire.BytesType:
			spec, _ := protowire.ConsumeBytes(value)
			if g.specs = append(g.specs, spec); len(g.specs) > BatchMax {
				return fmt.Errorf("more than %d transfers in a request", BatchMax)
			}
			return countLegs(spec, &legs)
		case number == omitField && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			g.omit = v != 0
		case number == togetherField && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			g.together = v != 0
		}
		return nil
	})
	return g, err
}

func countLegs(spec []byte, legs *int) error {
	return eachField(spec, func(number protowire.Number, _ protowire.Type, _ []byte) error {
		if number != legsField {
			return nil
		}
		if *legs++; *legs > legsMax {
			return fmt.Errorf("more than %d legs in a request", legsMax)
		}
		return nil
	})
}

// idOfSpec is the id of a TransferSpec, as it was sent.
func idOfSpec(spec []byte) (id string, err error) {
	err = eachField(spec, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if number != idField || kind != protowire.BytesType {
			return nil
		}
		text, _ := protowire.ConsumeBytes(value)
		if id = string(text); !utf8.Valid(text) {
			return errors.New("an id is not UTF-8")
		}
		return nil
	})
	return id, err
}

// eachField goes through a message's fields; value is as it was encoded, and whole.
func eachField(message []byte, do func(number protowire.Number, kind protowire.Type, value []byte) error) error {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if !number.IsValid() { // what ConsumeTag gives may be too large
			return fmt.Errorf("a field has the number %d", number)
		}
		message = message[size:]
		if size = protowire.ConsumeFieldValue(number, kind, message); size < 0 {
			return protowire.ParseError(size)
		}
		if err := do(number, kind, message[:size]); err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}
