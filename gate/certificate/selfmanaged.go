package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Lifetimes of self-managed certificates. The authority is what operators put into
// webhook configurations, so it outlives the installation; the serving certificate is
// renewed automatically long before it expires. A certificate begins an hour early for
// clocks that differ.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	servingLife   = 365 * 24 * time.Hour
	renewBefore   = 60 * 24 * time.Hour
	clockSkew     = time.Hour
)

// AuthorityName is the common name of the authorities of self-managed certificates.
const AuthorityName = "digestgate admission authority"

// selfManaged keeps an authority and a serving certificate in dir/tls, each in
// one file with its key, mode 0600: written to a new file and renamed, a pair
// is never half there.
type selfManaged struct {
	dir   string
	names []string
	now   func() time.Time
}

// AuthorityFile is where the authority of self-managed certificates is in a data
// directory, with its key.
func AuthorityFile(dataDir string) string { return filepath.Join(dataDir, "tls", "authority.pem") }

// AuthorityCertificate is the certificate, in PEM and without its key, of an authority as
// its file and a shared store hold it. ErrInvalid when there is no certificate of an
// authority in it.
func AuthorityCertificate(authority []byte) ([]byte, error) {
	for block, rest := pem.Decode(authority); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate of the authority: %v: %w", err, gate.ErrInvalid)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("reading the certificate of the authority: %q is not an authority: %w", c.Subject.CommonName, gate.ErrInvalid)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}), nil
	}
	return nil, fmt.Errorf("reading the certificate of the authority: there is no certificate in PEM (-----BEGIN CERTIFICATE-----): %w", gate.ErrInvalid)
}

// NewAuthority makes an authority as its file holds it: for replicas that are
// to have one in common. Errors wrap ErrResource.
func NewAuthority(now func() time.Time) ([]byte, error) {
	ca, err := selfManaged{now: now}.issue(nil)
	if err != nil {
		return nil, err
	}
	return slices.Concat(ca.certPEM, ca.keyPEM), nil
}

// ensure returns a serving certificate for the names, with its key, and the
// authority, making what is missing, unusable or about to expire.
func (s selfManaged) ensure() (certPEM, keyPEM, caPEM []byte, err error) {
	if len(s.names) == 0 {
		return nil, nil, nil, fmt.Errorf("making a serving certificate: no name to make it for: %w", gate.ErrInvalid)
	}
	dir := filepath.Join(s.dir, "tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("making the folder of certificates: %v: %w", err, gate.ErrResource)
	}
	caFile, servingFile := AuthorityFile(s.dir), filepath.Join(dir, "serving.pem")
	ca, err := readCertificate(caFile)
	if err != nil {
		return nil, nil, nil, err
	}
	if ca == nil || s.now().After(ca.leaf.NotAfter.Add(-servingLife)) {
		if ca, err = s.issue(nil); err != nil {
			return nil, nil, nil, err
		}
		if err := writeCertificate(caFile, ca); err != nil {
			return nil, nil, nil, err
		}
	}
	serving, err := readCertificate(servingFile)
	if err != nil {
		return nil, nil, nil, err
	}
	if serving == nil || !s.fits(serving.leaf, ca.leaf) {
		if serving, err = s.issue(ca); err != nil {
			return nil, nil, nil, err
		}
		if err := writeCertificate(servingFile, serving); err != nil {
			return nil, nil, nil, err
		}
	}
	return serving.certPEM, serving.keyPEM, ca.certPEM, nil
}

// fits reports whether a serving certificate is ours, for all names, and not
// about to expire.
func (s selfManaged) fits(leaf, ca *x509.Certificate) bool {
	missing := func(name string) bool { return leaf.VerifyHostname(name) != nil }
	return leaf.CheckSignatureFrom(ca) == nil && !slices.ContainsFunc(s.names, missing) &&
		s.now().Before(leaf.NotAfter.Add(-renewBefore)) && !s.now().Before(leaf.NotBefore)
}

// issued is a certificate with its key.
type issued struct {
	certPEM, keyPEM []byte
	leaf            *x509.Certificate
	key             *ecdsa.PrivateKey
}

// issue makes an authority (by is nil) or a serving certificate signed by one.
func (s selfManaged) issue(by *issued) (*issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %v: %w", err, gate.ErrResource)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %v: %w", err, gate.ErrResource)
	}
	now := s.now()
	template := &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-clockSkew), BasicConstraintsValid: true}
	parent, signer := template, key
	if by == nil {
		template.Subject = pkix.Name{CommonName: AuthorityName}
		template.NotAfter = now.Add(authorityLife)
		template.IsCA, template.MaxPathLenZero = true, true
		template.KeyUsage = x509.KeyUsageCertSign
	} else {
		template.Subject = pkix.Name{CommonName: "digestgate admission"}
		template.NotAfter = now.Add(servingLife)
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, name := range s.names {
			if ip := net.ParseIP(name); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, name)
			}
		}
		parent, signer = by.leaf, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %q: %v: %w", s.names, err, gate.ErrInvalid)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a key: %v: %w", err, gate.ErrResource)
	}
	return parseIssued(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func parseIssued(certPEM, keyPEM []byte) (*issued, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %v: %w", err, gate.ErrInvalid)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %v: %w", err, gate.ErrInvalid)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("reading a certificate: its key is not ours: %w", gate.ErrInvalid)
	}
	return &issued{certPEM, keyPEM, leaf, key}, nil
}

// readCertificate is nil without an error when there is no such file. One that
// cannot be used is an error: replacing an authority breaks every webhook
// configuration that trusts it, which a person should decide.
func readCertificate(file string) (*issued, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %v: %w", err, gate.ErrResource)
	}
	certBlock, rest := pem.Decode(b)
	keyBlock, _ := pem.Decode(rest)
	if certBlock == nil || keyBlock == nil {
		return nil, fmt.Errorf("reading certificate %q: it does not hold a certificate and a key; remove it to have a new one made: %w", file, gate.ErrInvalid)
	}
	c, err := parseIssued(pem.EncodeToMemory(certBlock), pem.EncodeToMemory(keyBlock))
	if err != nil {
		return nil, fmt.Errorf("reading certificate %q (remove it to have a new one made): %w", file, err)
	}
	return c, nil
}

// writeCertificate replaces a file as a whole.
func writeCertificate(file string, c *issued) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err == nil {
		_, err = f.Write(bytes.Join([][]byte{c.certPEM, c.keyPEM}, nil))
		err = errors.Join(err, f.Sync(), f.Close())
		if err == nil {
			err = os.Rename(f.Name(), file)
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("writing certificate %q: %v: %w", file, err, gate.ErrResource)
	}
	return nil
}
