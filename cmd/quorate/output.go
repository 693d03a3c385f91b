package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// printer writes a command's data, in the format that was asked for.
type printer struct {
	out       io.Writer
	format    string // table, json or jsonl
	noHeaders bool
	quiet     bool // ids only
}

// table is what people read: columns with a header.
type table struct {
	header []string
	rows   [][]string
}

// outputFormats: every command knows all of them. A list is a page as "json" and an object a line as "jsonl"; what is one object is on several lines or on one.
var outputFormats = []string{"table", "json", "jsonl"}

// newPrinter reads the global flags.
func newPrinter(cmd *cobra.Command) (*printer, error) {
	flags := cmd.Flags()
	format, err := flags.GetString("output")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(outputFormats, format) {
		return nil, usagef("unknown output format %q. try: -o %s", format, strings.Join(outputFormats, ", -o "))
	}
	noHeaders, err := flags.GetBool("no-headers")
	if err != nil {
		return nil, err
	}
	quiet, err := flags.GetBool("quiet")
	if err != nil {
		return nil, err
	}
	return &printer{out: cmd.OutOrStdout(), format: format, noHeaders: noHeaders, quiet: quiet}, nil
}

// one prints a single object: as JSON, its id alone, or tables with a blank line between them.
func (p *printer) one(object any, id string, tables ...table) error {
	switch {
	case p.quiet:
		return p.line(id)
	case p.format == "json":
		return p.json(object, "  ")
	case p.format == "jsonl":
		return p.json(object, "")
	}
	for i, t := range tables {
		if i > 0 {
			if err := p.line(""); err != nil {
				return err
			}
		}
		if err := p.table(t); err != nil {
			return err
		}
	}
	return nil
}

// listing is a page as the HTTP API prints it. What the command line prints is always the whole list.
type listing[T any] struct {
	Data    []T  `json:"data"`
	HasMore bool `json:"has_more"`
}

// printList prints all objects: as one JSON page, one JSON object a line, their ids, or a table.
func printList[T any](p *printer, objects []T, id func(T) string, t table) error {
	switch {
	case p.quiet:
		for _, o := range objects {
			if err := p.line(id(o)); err != nil {
				return err
			}
		}
		return nil
	case p.format == "json":
		return p.json(listing[T]{Data: append([]T{}, objects...)}, "  ")
	case p.format == "jsonl":
		for _, o := range objects {
			if err := p.json(o, ""); err != nil {
				return err
			}
		}
		return nil
	}
	return p.table(t)
}

func (p *printer) line(text string) error {
	_, err := fmt.Fprintln(p.out, text)
	return err
}

func (p *printer) json(object any, indent string) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(object)
}

func (p *printer) table(t table) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	if !p.noHeaders {
		fmt.Fprintln(w, strings.Join(t.header, "\t"))
	}
	for _, row := range t.rows {
		for i := range row {
			row[i] = printable(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush() // tells of any failed write before it
}

// namesMost is how many names a line of a table has. JSON has all.
const namesMost = 8

// someOf are the first names, and how many more there are.
func someOf(names []string) string {
	if len(names) <= namesMost {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namesMost], " "), len(names)-namesMost)
}

// printable shows what would move the cursor or turn the text around: references are the words of strangers.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
