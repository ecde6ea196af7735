package certificate

// Config names the files of a listener, all of which are read again when
// they change. Without CertFile and KeyFile it makes its own certificate;
// ClientCAFile demands client certificates signed by one of its authorities.
type Config struct {
	CertFile     string `yaml:"certFile"`
	KeyFile      string `yaml:"keyFile"`
	ClientCAFile string `yaml:"clientCAFile"`
	// Names are DNS names and IP addresses that its own certificate is for besides those
	// that are found out.
	Names []string `yaml:"names"`
}
