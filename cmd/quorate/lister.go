package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// lister prints a list of any length, item by item. Tables are cut into pieces, each with columns of its own: to fit one column to
// all rows, all would have to be in memory.
type lister struct {
	p     *printer
	piece table
	count int
	more  bool // the list goes on behind what is printed
}

// pieceRows is how many rows share a header.
const pieceRows = 1000

func newLister(p *printer, header []string) *lister {
	return &lister{p: p, piece: table{header: header}}
}

// add prints one item, or keeps it until its piece of the table is full.
func (l *lister) add(object any, id string, row []string) error {
	l.count++
	switch {
	case l.p.quiet:
		return l.p.line(id)
	case l.p.format == "jsonl":
		return l.p.json(object, "")
	case l.p.format == "json":
		return l.addJSON(object)
	}
	l.piece.rows = append(l.piece.rows, row)
	if len(l.piece.rows) < pieceRows {
		return nil
	}
	return l.flush()
}

func (l *lister) flush() error {
	err := l.p.table(l.piece)
	l.piece.rows = l.piece.rows[:0]
	return err
}

// addJSON writes the items of one page as the HTTP API has it.
func (l *lister) addJSON(object any) error {
	var text bytes.Buffer
	text.WriteString(",\n    ")
	if l.count == 1 {
		text.Reset()
		text.WriteString("{\n  \"data\": [\n    ")
	}
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("    ", "  ")
	if err := e.Encode(object); err != nil {
		return err
	}
	_, err := l.p.out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return err
}

// end prints what is left.
func (l *lister) end() error {
	switch {
	case l.p.quiet || l.p.format == "jsonl":
		return nil
	case l.p.format == "json" && l.count == 0:
		return l.p.json(listing[any]{Data: []any{}}, "  ")
	case l.p.format == "json":
		return l.p.line(fmt.Sprintf("\n  ],\n  \"has_more\": %t\n}", l.more))
	case l.count == 0 || len(l.piece.rows) > 0:
		return l.flush()
	}
	return nil
}
