package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/pki"
)

// Where a command finds its certificates and its token if no flag says so.
const (
	caEnv   = "QUORATE_CA"
	certEnv = "QUORATE_CERT"
	keyEnv  = "QUORATE_KEY"

	tokenEnv = "QUORATE_TOKEN_FILE"
)

// security is how a command's connections are secured, and how it proves who it is.
type security struct {
	transport credentials.TransportCredentials
	keys      *pki.Keys                     // what transport shows; nil: connections are in the clear
	token     credentials.PerRPCCredentials // nil: it has none
}

func (s security) ofClient() []client.Option {
	options := []client.Option{client.WithCredentials(s.transport)}
	if s.token != nil {
		options = append(options, client.WithToken(s.token))
	}
	return options
}

func (s security) ofGRPC() []grpc.DialOption {
	options := []grpc.DialOption{grpc.WithTransportCredentials(s.transport)}
	if s.token != nil {
		options = append(options, grpc.WithPerRPCCredentials(s.token))
	}
	return options
}

// checkTokenFile reads a token once before anybody is asked; only calls would, each of them. What isn't a plain file can be read only once.
func checkTokenFile(ctx context.Context, file string) error {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	_, err = client.TokenFile(file).GetRequestMetadata(ctx)
	return err
}

// credentialsOf is how a command's connections to servers are secured.
func credentialsOf(cmd *cobra.Command, servers []string) (security, error) {
	keys, err := clientKeys(cmd)
	if err != nil {
		return security{}, err
	}
	token, err := settingOf(cmd, "token-file", tokenEnv)
	if err != nil {
		return security{}, err
	}
	if token != "" {
		if err := checkTokenFile(cmd.Context(), token); err != nil {
			return security{}, misconfigured(fmt.Errorf("--token-file: %w", err))
		}
	}
	switch {
	case keys != nil && token != "":
		return security{client.Credentials(keys), keys, client.TokenFile(token)}, nil
	case keys != nil:
		return security{transport: client.Credentials(keys), keys: keys}, nil
	case token != "":
		return security{}, usagef("there is a token and --ca is missing. why: a token is never shown in the clear. try: --ca ca.pem")
	}
	for _, address := range servers {
		if !isLoopback(address) {
			return security{}, &adviceError{
				misconfigured(fmt.Errorf("%s is another machine and --ca is missing. why: what is said in the clear can be read and changed on the way", address)),
				"--ca ca.pem --cert client.pem --key client.key, or $" + caEnv + ", $" + certEnv + " and $" + keyEnv,
			}
		}
	}
	return inTheClear(), nil
}

// inTheClear is for a cluster on this machine alone.
func inTheClear() security { return security{transport: insecure.NewCredentials()} }

// clientKeys reads the files that the command line names, else the environment; nil if neither names any.
func clientKeys(cmd *cobra.Command) (*pki.Keys, error) {
	var files pki.Files
	for _, f := range []struct {
		flag, env string
		file      *string
	}{{"ca", caEnv, &files.CA}, {"cert", certEnv, &files.Cert}, {"key", keyEnv, &files.Key}} {
		var err error
		if *f.file, err = settingOf(cmd, f.flag, f.env); err != nil {
			return nil, err
		}
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
