"""Find similar: which portraits resemble one another, by who is in them or by how the pictures look.

feature_rows    vectors of portraits; nearest_rows: exact cosines between them
map_layout      from vectors to a plane; map_file: keeps a map beside the data set
map_job         makes a map in a process of its own
alike_people    people with several photographs, and people who may be one
lasso           which points a drawn outline holds
nearness_state  what all of this keeps of one data set
map_page, alike_page     what the tabs ask
"""
