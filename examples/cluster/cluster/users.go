package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// User is a person that the API server knows.
type User string

// The users of a cluster.
const (
	// Admin may do everything.
	Admin User = "admin"
	// Developer may edit Pods and workloads in the namespaces default and
	// team-a, and nothing else.
	Developer User = "developer"
	// Gate is digestgate itself, which may do nothing until it is given a role.
	Gate User = "digestgate"
)

// The files of a cluster in its folder.
const (
	caCert            = "ca.crt"
	serverCert        = "server.crt"
	serverKey         = "server.key"
	serviceAccountKey = "service-account.key"
	tokenFile         = "tokens.csv"
)

// developerYAML gives the developer what the role "edit" gives in a cluster
// with controllers; here nobody fills that role, which is an aggregate.
//
//go:embed developer.yaml
var developerYAML string

// writeCredentials makes the authority, the servers' certificate, the key of
// the service accounts and one random token for each user.
func (c *Cluster) writeCredentials() error {
	var err error
	if c.ca, err = newAuthority(); err != nil {
		return err
	}
	cert, key, err := c.ca.Issue("kube-apiserver")
	if err != nil {
		return err
	}
	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generating the key of the service accounts: %w", err)
	}
	saPEM, err := keyPEM(sa)
	if err != nil {
		return err
	}
	c.tokens = map[User]string{Admin: rand.Text(), Developer: rand.Text(), Gate: rand.Text()}
	// token, user, uid, "groups"
	tokens := fmt.Sprintf("%s,admin,admin,\"system:masters\"\n%s,developer,developer,\"developers\"\n%s,digestgate,digestgate\n",
		c.tokens[Admin], c.tokens[Developer], c.tokens[Gate])
	for name, data := range map[string][]byte{
		caCert: c.ca.PEM(), serverCert: cert, serverKey: key,
		serviceAccountKey: saPEM, tokenFile: []byte(tokens),
	} {
		if err := os.WriteFile(filepath.Join(c.opts.Dir, name), data, 0o600); err != nil {
			return fmt.Errorf("writing the cluster's credentials: %w", err)
		}
	}
	return nil
}

const kubeconfigTemplate = `apiVersion: v1
kind: Config
current-context: developer
clusters:
- name: example
  cluster:
    server: {{.URL}}
    certificate-authority-data: {{.CA}}
users:
{{- range $user, $token := .Tokens}}
- name: {{$user}}
  user: {token: "{{$token}}"}
{{- end}}
contexts:
{{- range $user, $token := .Tokens}}
- name: {{$user}}
  context: {cluster: example, user: {{$user}}, namespace: default}
{{- end}}
`

// writeKubeconfig writes one context for each user, named like the user.
func (c *Cluster) writeKubeconfig() error {
	var b bytes.Buffer
	err := template.Must(template.New("").Parse(kubeconfigTemplate)).Execute(&b, map[string]any{
		"URL": c.url, "CA": base64.StdEncoding.EncodeToString(c.ca.PEM()), "Tokens": c.tokens,
	})
	if err == nil {
		err = os.WriteFile(c.Kubeconfig(), b.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}

// createDeveloper makes the namespace team-a and the developer's rights.
func (c *Cluster) createDeveloper(ctx context.Context) error {
	r := c.Kubectl(ctx, Call{Input: developerYAML}, "apply", "-f", "-")
	if r.Exit != 0 {
		return fmt.Errorf("creating the developer's rights: kubectl ended with %d: %s", r.Exit, r.Stderr)
	}
	return nil
}
