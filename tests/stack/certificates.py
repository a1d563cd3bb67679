"""Certificates of a test's own authority, for the scripts whose servers speak TLS."""

import stack


def make(folder, client):
    """Makes an authority (`ca.pem`), and by it certificates of the server and of a client; keys are beside them (`.key`)."""
    stack.needs("openssl", "openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]

    def openssl(name, subject, *options):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        stack.run("openssl", "req", "-x509", *key, *files, "-subj", f"/CN={subject}", *options)

    openssl("ca", "frazil test authority", "-addext", "basicConstraints=critical,CA:TRUE")
    by_ca = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    openssl("server", "127.0.0.1", *by_ca, "-addext", "subjectAltName=IP:127.0.0.1")
    openssl(client, client, *by_ca, "-addext", "extendedKeyUsage=clientAuth")
