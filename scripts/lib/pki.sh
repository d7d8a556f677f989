# shellcheck shell=bash
# Certificates for brokers whose logins are tested: right ones, and each kind of wrong one. Sourced, after common.sh.

# pki_is_good FOLDER SCRIPT: made by these scripts as they are now, for earlier ones may have made other certificates; and valid
# for a week, which is longer than any test
pki_is_good() { [ -f "$1/$(pki_mark "$2")" ] && openssl x509 -checkend 604800 -noout -in "$1/broker.crt" >/dev/null 2>&1; }

pki_mark() { printf 'made-by-%s\n' "$(cat scripts/lib/pki.sh "$1" | sha256sum | cut -c 1-12)"; }

# pki_make BROKER FOLDER SCRIPT COMMAND: unless they are good. The command makes what is the broker's own, in that folder.
pki_make() {
  local broker=$1 folder=$2 script=$3 command=$4 mark log=$2.log
  pki_is_good "$folder" "$script" && return
  command -v openssl >/dev/null || install_packages openssl
  mark=$(pki_mark "$script")
  rm -rf "$folder"
  mkdir -p "$folder"
  # Waited for apart: in a list with || a failure in the middle would go unseen.
  (
    cd "$folder" || exit
    pki_ca ca
    pki_ca otherca
    pki_leaf broker broker "IP:127.0.0.1,DNS:localhost"
    pki_leaf wronghost elsewhere.test "DNS:elsewhere.test"
    pki_leaf client orders-service ""
    pki_leaf foreign orders-service "" otherca
    pki_expired
    openssl pkcs8 -topk8 -v2 aes256 -in client.key -passout pass:key-secret -out client.locked.key
    "$command"
    touch "$mark"
  ) >"$log" 2>&1 &
  wait $! || {
    tail -n 20 "$log" >&2
    die "$broker: the certificates could not be made"
  }
}

pki_key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }

pki_ca() {
  pki_key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 90 -sha256 -out "$1.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# pki_leaf NAME CN SAN [CA]: by the first CA unless said. The broker reads key, certificate and CA out of one file.
pki_leaf() {
  local ca=${4:-ca}
  pki_key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -sha256 -extfile "$1.ext" -days 60 -out "$1.crt"
  cat "$1.key" "$1.crt" "$ca.pem" >"$1.pem"
}

# A CA below the first one, and a broker's certificate of it: with it in the file, as it should be, and without it.
pki_between() {
  pki_key between
  openssl req -new -key between.key -subj /CN=between -out between.csr
  printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n' >between.ext
  openssl x509 -req -in between.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -extfile between.ext -days 60 -out between.pem
  pki_leaf chained broker "IP:127.0.0.1,DNS:localhost" between
  cat chained.key chained.crt >unchained.pem
}

# `openssl x509` cannot set when a certificate begins; `openssl ca` can.
pki_expired() {
  mkdir -p cadb
  : >cadb/index.txt
  echo 01 >cadb/serial
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=cadb/index.txt\nserial=cadb/serial\nnew_certs_dir=cadb\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >cadb/c.cnf
  pki_key expired
  openssl req -new -key expired.key -subj /CN=broker -out expired.csr
  openssl ca -batch -notext -config cadb/c.cnf -cert ca.pem -keyfile ca.key -in expired.csr -extfile broker.ext \
    -startdate 20200101000000Z -enddate 20200102000000Z -out expired.crt
  cat expired.key expired.crt ca.pem >expired.pem
}
