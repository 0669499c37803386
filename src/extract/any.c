/* ragstone-extract: text, Markdown and HTML.  PDF files come here only when their
 * bytes are none (the caller looks for "%PDF-"). */
#include "config.h"

#include "base/err.h"
#include "src/extract/charset.h"
#include "src/extract/doc.h"
#include "src/extract/kind.h"

const char *const extract_readable[] = { NULL };

static struct charset *charset;
static enum frame_kind kind;

int extract_prepare(const struct input *in)
{
	kind = kind_of(in);
	if (kind == KIND_NONE)
		return RAG_EUNSUP;
	return charset_choose(&charset, in->data, in->len, in->type, kind == KIND_HTML);
}

int extract_run(struct doc *d, const struct input *in)
{
	struct buf tmp = BUF_INIT;
	const char *s;
	size_t n;
	int rc;

	if (kind == KIND_PDF) {
		d->kind = KIND_PDF;
		return err_set(RAG_EFORMAT, "damaged PDF: no %%PDF- in the first 1024 bytes");
	}
	rc = charset_decode(&s, &n, &tmp, d->warning, sizeof(d->warning), charset, in->data, in->len);
	if (!rc) {
		d->kind = kind;
		if (kind == KIND_MARKDOWN)
			rc = extract_markdown(d, s, n);
		else if (kind == KIND_HTML)
			rc = extract_html(d, s, n);
		else
			rc = extract_text(d, s, n);
	}
	buf_release(&tmp);
	return rc;
}
