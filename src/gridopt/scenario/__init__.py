"""What the user wrote → model Inputs, with every mistake at once.

``load.load`` reads a scenario, ``load.check`` lists its mistakes, ``find.find`` resolves a name, ``new.new`` writes a
starter, ``editor.json_schema`` describes the format to an editor. Nothing is imported here: some of it is heavy.
"""
