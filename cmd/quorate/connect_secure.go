package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/pki"
)

// Where a command finds its certificates if no flag says so.
const (
	caEnv   = "QUORATE_CA"
	certEnv = "QUORATE_CERT"
	keyEnv  = "QUORATE_KEY"
)

// credentialsOf is how a command's connections to servers are secured.
func credentialsOf(cmd *cobra.Command, servers []string) (credentials.TransportCredentials, error) {
	keys, err := clientKeys(cmd)
	if err != nil {
		return nil, err
	}
	if keys != nil {
		return client.Credentials(keys), nil
	}
	for _, address := range servers {
		if !isLoopback(address) {
			return nil, &adviceError{
				misconfigured(fmt.Errorf("%s is another machine and --ca is missing. why: what is said in the clear can be read and changed on the way", address)),
				"--ca ca.pem --cert client.pem --key client.key, or $" + caEnv + ", $" + certEnv + " and $" + keyEnv,
			}
		}
	}
	return insecure.NewCredentials(), nil
}

// clientKeys reads the files that the command line names, else the environment; nil if neither names any.
func clientKeys(cmd *cobra.Command) (*pki.Keys, error) {
	var files pki.Files
	for _, f := range []struct {
		flag, env string
		file      *string
	}{{"ca", caEnv, &files.CA}, {"cert", certEnv, &files.Cert}, {"key", keyEnv, &files.Key}} {
		value, err := cmd.Flags().GetString(f.flag)
		if err != nil {
			return nil, err
		}
		if value == "" {
			value = os.Getenv(f.env)
		}
		*f.file = value
	}
	switch {
	case files == pki.Files{}:
		return nil, nil
	case files.CA == "":
		return nil, usagef("--cert or --key is given and --ca is missing. why: the servers have to prove themselves, too. try: --ca ca.pem")
	case (files.Cert == "") != (files.Key == ""):
		return nil, usagef("--cert and --key go together: one of them is missing. try: --cert client.pem --key client.key")
	}
	keys, err := pki.Load(files, nil)
	if err != nil {
		return nil, misconfigured(err)
	}
	return keys, nil
}
