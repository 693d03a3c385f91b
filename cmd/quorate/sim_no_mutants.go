//go:build !mutants

package main

import "github.com/spf13/cobra"

const mutantTag = ""

var mutantFlag string

func addMutantFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&mutantFlag, "mutant", "", "plant a bug; only in a binary that is built with -tags mutants")
}

func enableMutant() error { return enableMutantNamed(mutantFlag) }

func enableMutantNamed(name string) error {
	if name == "" {
		return nil
	}
	return usagef("this program has no bug planted on purpose. try: go run -tags mutants ./cmd/quorate sim --mutant %s", name)
}

func mutantName() string { return "" }
