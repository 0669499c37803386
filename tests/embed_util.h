/* embed_util - texts of several lengths, and an embedder of the precision that is set. */
#ifndef RAG_TESTS_EMBED_UTIL_H
#define RAG_TESTS_EMBED_UTIL_H

#include "base/err.h"
#include "model/embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum encoder_precision precision = ENCODER_F32;	/* of what is opened */

static const char *const texts[] = {
	"hello world", "", "a", "the quick brown fox", "x y z", "UNKNOWN \xE6\x97\xA5 9", "abcdefghij klm nop",
	"t h i r t y s i x t o k e n s a n d n o t a m u l t i p l e o f a n y",
};
#define N_TEXTS (sizeof(texts) / sizeof(texts[0]))

static struct embed_text text_at(size_t i)
{
	struct embed_text t = { texts[i % N_TEXTS], strlen(texts[i % N_TEXTS]) };

	return t;
}

static struct embed *open_or_bail(const char *path, struct par *par)
{
	struct embed *e = NULL;

	if (embed_open(&e, path, precision, par)) {
		printf("Bail out! %s\n", err_msg());
		exit(1);
	}
	return e;
}

#endif
