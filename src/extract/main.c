/*
 * ragstone-extract TYPE NAME <FILE >RECORD
 *
 * One untrusted file on descriptor 0, one record (ingest/frame.h) on 1.  This
 * main is both ragstone-extract (text, Markdown, HTML) and
 * ragstone-extract-pdf (PDF, whose libraries take ten times as long to load).
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/utf8.h"
#include "src/extract/confine.h"
#include "src/extract/doc.h"

static int put(const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t k = write(STDOUT_FILENO, s, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		s += k;
		n -= (size_t)k;
	}
	return 0;
}

static int put_record(const struct doc *d, int status)
{
	const char *message = status ? err_msg() : d->warning;
	size_t n = strlen(message);
	unsigned char h[FRAME_HEAD] = { 0 };

	if (n > FRAME_MAX_MESSAGE)
		n = utf8_floor(message, n, FRAME_MAX_MESSAGE);
	memcpy(h, FRAME_MAGIC, 8);
	frame_put(h + 8, (uint32_t)status, 4);
	frame_put(h + 12, d->kind, 4);
	frame_put(h + 20, n, 4);
	if (status)
		return put(h, sizeof(h)) || put(message, n);
	frame_put(h + 16, d->title.len, 4);
	frame_put(h + 24, d->n_marks, 4);
	frame_put(h + 28, d->marks.len, 4);
	frame_put(h + 32, d->text.len, 8);
	frame_put(h + 40, d->about.len, 4);
	return put(h, sizeof(h)) || put(d->title.data, d->title.len) || put(message, n) ||
	       put(d->about.data, d->about.len) || put(d->marks.data, d->marks.len) || put(d->text.data, d->text.len);
}

/* Libraries abort() when memory ends: tell that apart from their bugs. */
static void on_abort(int sig)
{
	void *p = mmap(NULL, (size_t)32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(EXTRACT_EXIT_MEMORY);
	signal(sig, SIG_DFL);
}

int main(int argc, char **argv)
{
	struct input in = { NULL, 0, argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "" };
	struct stat st;
	struct doc d;
	void *p = MAP_FAILED;
	int rc;

	confine_early();
	if (argc != 3 || fstat(STDIN_FILENO, &st) || !S_ISREG(st.st_mode)) {
		fputs("usage: ragstone-extract TYPE NAME <FILE >RECORD\n", stderr);
		return 2;
	}
	doc_init(&d);
	if (st.st_size > 0)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
	if (p != MAP_FAILED) {
		in.data = p;
		in.len = (size_t)st.st_size;
		rc = extract_prepare(&in);
		if (confine_enter(in.len, extract_readable)) {
			fprintf(stderr, "%s\n", err_msg());
			_exit(EXTRACT_EXIT_CONFINE);
		}
		signal(SIGABRT, on_abort);
		if (!rc)
			rc = extract_run(&d, &in);
	} else if (st.st_size > 0) {
		rc = err_set(RAG_EIO, "cannot map the file: %s", strerror(errno));
	} else {
		rc = err_set(RAG_EUNSUP, "empty: 0 bytes");
	}
	if (!rc)
		rc = doc_finish(&d);
	if (!rc && !d.text.len) {
		d.kind = KIND_NONE;
		rc = err_set(RAG_EUNSUP, "empty: no text in %zu bytes", in.len);
	}
	if (rc == RAG_ENOMEM)
		_exit(EXTRACT_EXIT_MEMORY);
	/* _exit(): destructors of a dozen libraries would have nothing to save. */
	_exit(put_record(&d, rc) ? 1 : 0);
}
