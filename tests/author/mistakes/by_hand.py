"""A projector on the contract alone, without the SDK."""

import json
import logging

from componentize_py_types import Ok
from wit_world import exports
from wit_world.exports.projector import Manifest, Ordering, Statement, Table
from wit_world.imports import log
from wit_world.imports.types import Operation, Value_Text


class Projector(exports.Projector):
    def describe(self):
        tables = [Table("notes", "CREATE TABLE notes (id VARCHAR(64) PRIMARY KEY)")]
        statements = [Statement("save", "INSERT INTO notes (id) VALUES (?)")]
        return Manifest("by-hand", "0.1.0", [], Ordering.AGGREGATE, False, tables, statements)

    def project(self, events):
        return [Ok([answer(event)]) for event in events]


def answer(event):
    if json.loads(event.payload)["do"] == "logging":
        logging.warning("seen")
    print("seen")
    log.write(log.Level.INFO, "seen, too")
    return Operation(0, [Value_Text(event.id)])
