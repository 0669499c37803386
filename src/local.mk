# facade, library, programs
