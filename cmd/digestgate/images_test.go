package main

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
)

// privateKey is the form of a private key and none; it is made up.
const privateKey = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\n" +
	"VTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxK\nLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW/VDL5AaWTg0nLVkjRo\n" +
	"-----END RSA PRIVATE KEY-----\n"

// pushIndexOf pushes the demo's index: linux/amd64 up to date, linux/arm64 not.
func pushIndexOf(s *server, repo, tag string) (gate.Digest, error) {
	var d demo.Images
	if err := demo.PushIndex(s.registry, repo, tag, v1.Config{User: "65532"}, &d); err != nil {
		return "", err
	}
	return d.Index, nil
}
